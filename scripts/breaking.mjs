// `--break`: one call of the demo, refused for good, to see what a failure looks like.

import { createServer, request } from 'node:http';
import { isCall } from './transcript.mjs';

/** @import { Sandbox } from '../js/sandbox/index.js' */

/**
 * @param {string} name a line of the transcript: `POST /webhook INSTALL`
 * @param {Sandbox} sandbox
 */
export function breakCall(name, sandbox) {
  const [method, path, type] = name.split(' ');
  const pattern = path
    .split('?')[0]
    .split('/')
    .map((part) => (/[*…]/.test(part) ? '[^/]+' : part.replace(/\W/g, '\\$&')));
  const fault = { times: null, status: REFUSAL.statusCode, body: REFUSAL };
  const match = { method, path: new RegExp(`^${pattern.join('/')}$`) };
  const ghl = sandbox.ghl.fail({ ...fault, match });
  const vcx = sandbox.vcx.fail({ ...fault, match: { ...match, ...(type && { body: { type } }) } });
  let atGate = 0;

  return {
    /** How many calls were refused. */
    get used() {
      return ghl.used + vcx.used + atGate;
    },

    /**
     * Stands before the Worker, on which the sandbox has no hold.
     * @param {{ port: number, workerPort: number }} ports
     */
    async openGate({ port, workerPort }) {
      const server = createServer(async (incoming, outgoing) => {
        const body = Buffer.concat(await incoming.toArray());
        const { method = '', headers, url = '' } = incoming;
        // The sandbox has recorded the call by the time it comes here, and the record knows which webhook it is.
        const broken = sandbox.traffic.some(
          (entry) =>
            entry.to === 'worker' &&
            entry.status === null &&
            isCall({ ...entry, method, path: url }, name) &&
            same(entry.requestBody, body),
        );
        if (broken) {
          atGate += 1;
          outgoing.writeHead(REFUSAL.statusCode, { 'content-type': 'application/json' });
          outgoing.end(JSON.stringify(REFUSAL));
          return;
        }
        const onward = request({ host: '127.0.0.1', port: workerPort, method, path: url, headers }, (reply) => {
          outgoing.writeHead(reply.statusCode ?? 502, reply.rawHeaders);
          reply.pipe(outgoing);
        });
        onward.on('error', () => outgoing.destroy());
        onward.end(body);
      });
      await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
      return () => {
        server.close();
        server.closeAllConnections();
      };
    },
  };
}

/** @param {unknown} recorded @param {Buffer} bytes */
const same = (recorded, bytes) => recorded === undefined || JSON.stringify(recorded) === bytes.toString('utf8');

const REFUSAL = { statusCode: 422, message: 'refused on purpose (--break)' };

/**
 * The built Worker, where sockets of conversations that are called `throw.…` throw at each frame that they are given (their `ready`
 * goes through), and the object throws when it is asked for a socket of one that is called `down.…`.
 */

// @ts-expect-error the build's, beside which this one is put
import worker, { Location as Built } from './worker.js';

export default worker;

export class Location extends Built {
  /** @param {Request} request */
  fetch(request) {
    if (request.url.includes('down.')) throw new Error('the object is down');
    return super.fetch(request);
  }
}

const { send } = WebSocket.prototype;
/** @param {string} frame */
WebSocket.prototype.send = function (frame) {
  if (/"vcxConversationId":"throw\./.test(frame)) throw new TypeError('the socket throws');
  send.call(this, frame);
};

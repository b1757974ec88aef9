/**
 * Access and refresh tokens: one day and one year, the refresh token single use, with a grace in which its reuse gives
 * the same new pair (FACTS §1.3).
 */

import { randomBytes, randomUUID } from 'node:crypto';
import { badRequest } from './errors.js';

/** @import { Options } from './options.js' */

/**
 * @typedef {object} Holder who a token is for
 * @property {string} clientId
 * @property {'Location' | 'Company'} authClass
 * @property {string} companyId
 * @property {string} [locationId]
 * @property {string} userId
 * @property {string} scope
 * @property {string[]} [approvedLocations]
 * @property {boolean} [installToFutureLocations]
 */
/** @typedef {Holder & { scopes: Set<string>, expiresAt: number, revoked: boolean }} Access */
/**
 * @typedef {object} Refresh
 * @property {Holder} holder
 * @property {number} expiresAt
 * @property {boolean} revoked
 * @property {number} [usedAt]
 * @property {TokenReply} [reply] what its use gave
 */
/** @typedef {Record<string, unknown> & { access_token: string, refresh_token: string }} TokenReply */

/** @param {{ now: () => number, options: Options }} ghl */
export function createTokens({ now, options }) {
  /** @type {Map<string, Access>} */
  const accesses = new Map();
  /** @type {Map<string, Refresh>} */
  const refreshes = new Map();

  /**
   * A new pair, as `/oauth/token` answers it (FACTS §1.2).
   * @param {Holder} holder
   * @param {{ expiresIn?: number }} [how]
   * @returns {TokenReply}
   */
  function issue(holder, { expiresIn = options.expiresIn } = {}) {
    const access = jwt(holder);
    const refresh = jwt(holder);
    accesses.set(access, {
      ...holder,
      scopes: new Set(holder.scope.split(' ')),
      expiresAt: now() + expiresIn * 1000,
      revoked: false,
    });
    refreshes.set(refresh, { holder, expiresAt: now() + YEAR_MS, revoked: false });
    const { authClass, companyId, locationId, userId, scope } = holder;
    const company = authClass === 'Company';
    return {
      access_token: access,
      token_type: 'Bearer',
      expires_in: expiresIn,
      refresh_token: refresh,
      refreshTokenId: randomBytes(12).toString('hex'),
      scope,
      userType: authClass,
      companyId,
      ...(company ? {} : { locationId }),
      userId,
      isBulkInstallation: company,
      ...(company && options.approvedLocations && holder.approvedLocations
        ? { approvedLocations: holder.approvedLocations }
        : {}),
      ...(company ? { installToFutureLocations: holder.installToFutureLocations ?? false } : {}),
      traceId: randomUUID(),
    };
  }

  /**
   * @param {string} token
   * @param {string} clientId
   * @param {(holder: Holder) => void} check refuses before the token is used up
   * @returns {TokenReply}
   */
  function refresh(token, clientId, check) {
    const found = refreshes.get(token);
    const invalid = badRequest('Invalid grant: refresh token is invalid');
    if (!found || found.holder.clientId !== clientId || found.revoked) throw invalid;
    if (now() >= found.expiresAt) throw invalid;
    if (found.usedAt !== undefined) {
      if (!found.reply || now() - found.usedAt > options.graceMs) throw invalid;
      return found.reply;
    }
    check(found.holder);
    found.usedAt = now();
    found.reply = issue(found.holder);
    return found.reply;
  }

  /** @param {string} resource @param {(token: Access) => void} change */
  function eachAccess(resource, change) {
    for (const access of accesses.values()) if (isOf(access, resource)) change(access);
  }

  return {
    issue,
    refresh,

    /** @param {string | undefined} authorization @returns {Access | undefined} if it is valid now */
    find(authorization) {
      if (!authorization?.startsWith('Bearer ')) return undefined;
      const access = accesses.get(authorization.slice('Bearer '.length));
      return access && !access.revoked && now() < access.expiresAt ? access : undefined;
    },

    /** @param {string} resource location or company id */
    expireAccess(resource) {
      eachAccess(resource, (access) => {
        access.expiresAt = Math.min(access.expiresAt, now());
      });
    },

    /** Grace included. @param {string} resource location or company id */
    revokeRefresh(resource) {
      for (const found of refreshes.values()) {
        if (isOf(found.holder, resource)) found.revoked = true;
      }
    },

    /** @param {string} resource location or company id @param {string} clientId */
    forget(resource, clientId) {
      for (const [token, access] of accesses) {
        if (access.clientId === clientId && isOf(access, resource)) accesses.delete(token);
      }
      for (const [token, { holder }] of refreshes) {
        if (holder.clientId === clientId && isOf(holder, resource)) refreshes.delete(token);
      }
    },
  };
}

/**
 * A company's id stands for its own tokens only, as a location's does.
 * @param {Holder} holder
 * @param {string} resource
 */
function isOf(holder, resource) {
  return (holder.authClass === 'Company' ? holder.companyId : holder.locationId) === resource;
}

/**
 * The live tokens are RS256 JWTs (FACTS §1.2). Nobody can verify them, so here the signature is chance; it is what
 * makes each token unique.
 * @param {Holder} holder
 */
function jwt({ authClass, companyId, locationId, clientId }) {
  const authClassId = authClass === 'Company' ? companyId : locationId;
  const claims = {
    authClass,
    authClassId,
    primaryAuthClassId: authClassId,
    source: 'INTEGRATION',
    sourceId: clientId,
    channel: 'OAUTH',
  };
  const payload = Buffer.from(JSON.stringify(claims)).toString('base64url');
  return `${HEADER}.${payload}.${randomBytes(256).toString('base64url')}`;
}

const HEADER = Buffer.from('{"alg":"RS256","typ":"JWT"}').toString('base64url');
const YEAR_MS = 365 * 86_400_000;

/**
 * The bodies and queries this GHL accepts, as data in a small part of JSON Schema, so that a test can compare them with
 * GHL's own OpenAPI files. `required` and the enums are what the live API does; where that differs from the files,
 * tests/sandbox/openapi.test.js lists it with its FACTS section. `{}` accepts anything.
 */

/**
 * @typedef {object} Schema
 * @property {'string' | 'number' | 'boolean' | 'array' | 'object'} [type]
 * @property {boolean} [nullable]
 * @property {string} [format] only date-time
 * @property {string[]} [enum]
 * @property {boolean} [csv] several of the enum, with commas between
 * @property {Schema} [items]
 * @property {Record<string, Schema>} [properties] any other key is refused
 * @property {string[]} [required]
 */

/** @type {Schema} */
const string = { type: 'string' };
/** @type {Schema} */
const nullable = { type: 'string', nullable: true };
/** @type {Schema} */
const number = { type: 'number' };
/** @type {Schema} */
const boolean = { type: 'boolean' };
/** @type {Schema} */
const strings = { type: 'array', items: string };
/** @type {Schema} */
const anything = {};

/** @param {Record<string, Schema>} properties @param {string[]} [required] @returns {Schema} */
const object = (properties, required = []) => ({ type: 'object', properties, required });
/** @param {string[]} values @returns {Schema} */
const oneOf = (...values) => ({ type: 'string', enum: values });
/** @param {string[]} values @returns {Schema} */
const listOf = (values) => ({ type: 'string', enum: values, csv: true });

const dndSetting = object({ status: oneOf('active', 'inactive', 'permanent'), message: string, code: string }, [
  'status',
]);

/** What create, upsert and update have in common (FACTS §2.1). */
const contactFields = {
  firstName: nullable,
  lastName: nullable,
  name: nullable,
  email: nullable,
  phone: nullable,
  address1: nullable,
  city: nullable,
  state: nullable,
  postalCode: string,
  website: nullable,
  timezone: nullable,
  dnd: boolean,
  dndSettings: object({
    Call: dndSetting,
    Email: dndSetting,
    SMS: dndSetting,
    WhatsApp: dndSetting,
    GMB: dndSetting,
    FB: dndSetting,
  }),
  inboundDndSettings: object({
    all: object({ status: oneOf('active', 'inactive'), message: string }, ['status']),
  }),
  tags: strings,
  // Id or key, either will do (FACTS §2.6); what the value may be depends on the field.
  customFields: {
    type: /** @type {const} */ ('array'),
    items: object({ id: string, key: string, field_value: anything }),
  },
  source: string,
  dateOfBirth: nullable,
  country: string,
  assignedTo: string,
};

const createContact = object({ ...contactFields, locationId: string, gender: string, companyName: nullable }, [
  'locationId',
]);

const messageStatus = oneOf('delivered', 'failed', 'pending', 'read');

/** @type {Record<string, Schema>} method and path → body */
export const bodies = {
  'POST /oauth/token': object(
    {
      client_id: string,
      client_secret: string,
      grant_type: oneOf('authorization_code', 'refresh_token', 'client_credentials'),
      code: string,
      refresh_token: string,
      user_type: oneOf('Company', 'Location'),
      redirect_uri: string,
    },
    ['client_id', 'client_secret', 'grant_type'],
  ),
  'POST /oauth/locationToken': object({ companyId: string, locationId: string }, ['companyId', 'locationId']),
  'POST /oauth/reconnect': object({ clientKey: string, clientSecret: string, companyId: string, locationId: string }, [
    'clientKey',
    'clientSecret',
  ]),
  'POST /contacts/': createContact,
  'POST /contacts/upsert': {
    ...createContact,
    properties: { ...createContact.properties, createNewIfDuplicateAllowed: boolean },
  },
  // No locationId here: sending it is refused (FACTS §2.5).
  'PUT /contacts/{contactId}': object({
    ...contactFields,
    source: nullable,
    assignedTo: nullable,
  }),
  'POST /contacts/{contactId}/tags': object({ tags: strings }, ['tags']),
  'DELETE /contacts/{contactId}/tags': object({ tags: strings }, ['tags']),
  // From the page the official schema leaves empty (FACTS §2.4).
  'POST /contacts/search': object(
    {
      locationId: string,
      page: number,
      pageLimit: number,
      searchAfter: { type: 'array', items: anything },
      filters: { type: 'array', items: anything },
      sort: {
        type: 'array',
        items: object({ field: string, direction: oneOf('asc', 'desc') }, ['field', 'direction']),
      },
      query: string,
    },
    ['locationId', 'pageLimit'],
  ),
  'POST /locations/{locationId}/customFields': object(
    {
      name: string,
      dataType: string,
      placeholder: string,
      acceptedFormat: strings,
      isMultipleFile: boolean,
      maxNumberOfFiles: number,
      textBoxListOptions: {
        type: 'array',
        items: object({ label: string, prefillValue: string }),
      },
      position: number,
      model: oneOf('contact', 'opportunity'),
    },
    ['name', 'dataType'],
  ),
  'POST /conversations/': object({ locationId: string, contactId: string }, ['locationId', 'contactId']),
  'PUT /conversations/{conversationId}': object(
    { locationId: string, unreadCount: number, starred: boolean, feedback: anything },
    ['locationId'],
  ),
  'POST /conversations/messages/inbound': object(
    {
      type: oneOf(
        'SMS',
        'RCS',
        'Email',
        'WhatsApp',
        'GMB',
        'IG',
        'FB',
        'Custom',
        'WebChat',
        'Live_Chat',
        'Call',
        'IVR_Call',
        'Campaign_Call',
        'Campaign_VoiceMail',
        'TIKTOK',
        'ALL_IN_ONE_CHAT',
        'FORM_SUBMISSION',
      ),
      attachments: strings,
      message: string,
      conversationId: string,
      contactId: string,
      conversationProviderId: string,
      html: string,
      subject: string,
      emailFrom: string,
      emailTo: string,
      emailCc: strings,
      emailBcc: strings,
      emailMessageId: string,
      altId: string,
      direction: oneOf('inbound', 'outbound'),
      date: { type: 'string', format: 'date-time' },
      call: object({
        to: string,
        from: string,
        status: oneOf('pending', 'completed', 'answered', 'busy', 'no-answer', 'failed', 'canceled', 'voicemail'),
      }),
    },
    ['type'],
  ),
  'POST /conversations/messages': object(
    {
      type: oneOf('SMS', 'RCS', 'Email', 'WhatsApp', 'IG', 'FB', 'Custom', 'Live_Chat', 'TIKTOK', 'InternalComment'),
      subType: anything,
      contactId: string,
      appointmentId: string,
      attachments: strings,
      emailFrom: string,
      emailCc: strings,
      emailBcc: strings,
      html: string,
      message: string,
      subject: string,
      replyMessageId: string,
      templateId: string,
      threadId: string,
      scheduledTimestamp: number,
      conversationProviderId: string,
      emailTo: string,
      customSubtypeId: string,
      emailReplyMode: oneOf('reply', 'reply_all'),
      fromNumber: string,
      toNumber: string,
      forward: object(
        {
          isForwarded: boolean,
          forwardWholeThread: boolean,
          messageId: string,
          emailMessageId: string,
          sourceContactId: string,
          sourceConversationId: string,
          toEmail: string,
          recipientContactId: string,
          recipientConversationId: string,
        },
        ['isForwarded'],
      ),
      status: messageStatus,
      usesNativeSchedulingAi: boolean,
      optimizationPeriod: oneOf('24h', '48h', '72h'),
      mentions: strings,
      userId: string,
    },
    ['type', 'contactId', 'status'],
  ),
  'PUT /conversations/messages/{messageId}/status': object(
    {
      status: messageStatus,
      error: object({ code: string, type: string, message: string }, ['code', 'message']),
      emailMessageId: string,
      recipients: strings,
    },
    ['status'],
  ),
};

/** What messages are (FACTS §3.6). */
const MESSAGE_TYPES = (
  'CALL SMS RCS EMAIL SMS_REVIEW_REQUEST WEBCHAT SMS_NO_SHOW_REQUEST CAMPAIGN_SMS CAMPAIGN_CALL ' +
  'CAMPAIGN_EMAIL CAMPAIGN_VOICEMAIL FACEBOOK CAMPAIGN_FACEBOOK CAMPAIGN_MANUAL_CALL ' +
  'CAMPAIGN_MANUAL_SMS GMB CAMPAIGN_GMB REVIEW INSTAGRAM WHATSAPP CUSTOM_SMS CUSTOM_EMAIL ' +
  'CUSTOM_PROVIDER_SMS CUSTOM_PROVIDER_EMAIL IVR_CALL ACTIVITY_CONTACT ACTIVITY_INVOICE ' +
  'ACTIVITY_PAYMENT ACTIVITY_OPPORTUNITY LIVE_CHAT LIVE_CHAT_INFO_MESSAGE ACTIVITY_APPOINTMENT ' +
  'FACEBOOK_COMMENT INSTAGRAM_COMMENT CUSTOM_CALL INTERNAL_COMMENT ACTIVITY_EMPLOYEE_ACTION_LOG ' +
  'TIKTOK TIKTOK_COMMENT ACTIVITY_WHATSAPP FORM_SUBMISSION SMS_REACTION'
)
  .split(' ')
  .map((word) => `TYPE_${word}`);

/** What a list of messages can be narrowed to. */
const LISTED_TYPES = (
  'CALL SMS RCS EMAIL FACEBOOK GMB INSTAGRAM WHATSAPP ACTIVITY_APPOINTMENT ACTIVITY_CONTACT ' +
  'ACTIVITY_INVOICE ACTIVITY_PAYMENT ACTIVITY_OPPORTUNITY LIVE_CHAT INTERNAL_COMMENTS ' +
  'ACTIVITY_EMPLOYEE_ACTION_LOG TIKTOK ACTIVITY_WHATSAPP FORM_SUBMISSION'
)
  .split(' ')
  .map((word) => `TYPE_${word}`);

/** @type {Record<string, Schema>} method and path → query; values are strings, other keys are ignored */
export const queries = {
  'GET /oauth/installedLocations': object(
    {
      skip: string,
      limit: string,
      query: string,
      isInstalled: string,
      companyId: string,
      appId: string,
      versionId: string,
      onTrial: string,
      planId: string,
      locationId: string,
    },
    ['companyId', 'appId'],
  ),
  'GET /contacts/search/duplicate': object({ locationId: string, number: string, email: string }, ['locationId']),
  'GET /locations/{locationId}/customFields': object({
    model: oneOf('contact', 'opportunity', 'all'),
  }),
  'GET /conversations/search': object(
    {
      locationId: string,
      contactId: string,
      assignedTo: string,
      followers: string,
      mentions: string,
      query: string,
      sort: oneOf('asc', 'desc'),
      startAfterDate: string,
      id: string,
      limit: string,
      lastMessageType: listOf(MESSAGE_TYPES),
      lastMessageAction: oneOf('automated', 'manual'),
      lastMessageDirection: oneOf('inbound', 'outbound'),
      status: oneOf('all', 'read', 'unread', 'starred', 'recents'),
      sortBy: oneOf('last_manual_message_date', 'last_message_date', 'score_profile', 'overdue_at', 'due_at'),
      sortScoreProfile: string,
      scoreProfile: string,
      scoreProfileMin: string,
      scoreProfileMax: string,
      startDate: string,
      endDate: string,
    },
    ['locationId'],
  ),
  'GET /conversations/{conversationId}/messages': object({
    lastMessageId: string,
    limit: string,
    type: listOf(LISTED_TYPES),
  }),
};

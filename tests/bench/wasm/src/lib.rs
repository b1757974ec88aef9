//! Parts of the core, called alone: what `npm run bench` holds against the same in JavaScript. The
//! product does not export them.

use vcx_ghl::ghl::InboxMessage;
use vcx_ghl::location::work::Message;
use vcx_ghl::map;
use vcx_ghl::signature::{GhlKeys, MacKey};
use vcx_ghl::vcx::Push;
use wasm_bindgen::prelude::*;

/// Keys, read once as the product reads them.
#[wasm_bindgen]
pub struct Core {
    mac: MacKey,
    ghl: GhlKeys,
}

#[wasm_bindgen]
impl Core {
    /// `ghl_key`: as in `GHL_PUBLIC_KEYS`.
    #[wasm_bindgen(constructor)]
    pub fn new(secret: &[u8], ghl_key: &str) -> Result<Core, JsValue> {
        let ghl = GhlKeys::parse(ghl_key).map_err(|error| JsValue::from(error.to_string()))?;
        Ok(Core {
            mac: MacKey::new(secret),
            ghl,
        })
    }

    /// HMAC-SHA256.
    pub fn hmac(&self, body: &[u8]) -> Vec<u8> {
        self.mac.sign(&[body]).to_vec()
    }

    /// Whether GHL signed this.
    pub fn ed25519(&self, signature: &str, body: &[u8]) -> bool {
        self.ghl.verify(Some(signature), body).is_ok()
    }

    /// The bytes of a push as the bytes of GHL's message.
    #[wasm_bindgen(js_name = toGhl)]
    pub fn to_ghl(&self, body: &[u8], provider_id: &str, contact_id: &str) -> Vec<u8> {
        let Ok(push) = Push::parse(body) else {
            return Vec::new();
        };
        let message = Message {
            message_id: push.message_id.unwrap_or_default(),
            client_id: push.client_id,
            chat_id: push.vcx_conversation_id,
            from_user: push.from_user,
            body: push.body,
            attachments: push.attachments,
            date: push.timestamp,
            maps: false,
        };
        let inbox = InboxMessage {
            contact_id,
            ..map::to_ghl(&message, provider_id)
        };
        serde_json::to_vec(&inbox).unwrap_or_default()
    }
}

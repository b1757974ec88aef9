//! The Worker's settings, parsed once; every missing or wrong one is named.

use crate::http::{host_and_port, in_brackets};
use crate::seal::SealKeys;
use crate::secret::{Keyring, Secret};
use crate::session::SessionKeys;
use crate::signature::{GhlKeys, WebhookSecrets};
use std::collections::BTreeMap;

/// Everything the deploying engineer decides.
pub struct Settings {
    /// `GHL_CLIENT_ID`.
    pub client_id: String,
    /// `GHL_CLIENT_SECRET`.
    pub client_secret: Secret,
    /// `GHL_REDIRECT_URI`.
    pub redirect_uri: String,
    /// `GHL_PROVIDER_ID`.
    pub provider_id: String,
    /// `GHL_VERSION_ID`.
    pub version_id: Option<String>,
    /// `GHL_SCOPES`, space separated.
    pub scopes: String,
    /// `GHL_API_URL`, without a trailing slash.
    pub api_url: String,
    /// `GHL_INSTALL_URL`.
    pub install_url: String,
    /// `GHL_PUBLIC_KEYS`.
    pub ghl_keys: GhlKeys,
    /// `VCX_WEBHOOK_URL`.
    pub webhook_url: Option<String>,
    /// `VCX_WEBHOOK_SECRET`.
    pub webhook_secrets: Option<WebhookSecrets>,
    /// `VCX_API_KEY`.
    pub api_keys: Keyring,
    /// `SEAL_KEYS`.
    pub seal_keys: SealKeys,
    /// `SESSION_SECRET`; without it there are no browser sessions.
    pub session_keys: Option<SessionKeys>,
    /// `VCX_ALLOWED_ORIGINS`, as browsers write them.
    pub allowed_origins: Vec<String>,
}

impl Settings {
    /// Reads the settings by name. An error is a list of sentences, one for each setting that is
    /// missing or wrong, each beginning with the setting's name; none quotes a value.
    pub fn parse(values: &BTreeMap<String, String>) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let optional = |name: &str| {
            values
                .get(name)
                .map(|v| v.trim())
                .filter(|v| !v.is_empty())
                .map(str::to_owned)
        };
        let or = |name: &str, default: &str| optional(name).unwrap_or_else(|| default.to_owned());
        let mut required = |name: &str| {
            optional(name).unwrap_or_else(|| {
                wrong.push(format!("{name} is missing"));
                String::new()
            })
        };

        let client_id = required("GHL_CLIENT_ID");
        let client_secret = Secret::new(required("GHL_CLIENT_SECRET"));
        let redirect_uri = required("GHL_REDIRECT_URI");
        let provider_id = required("GHL_PROVIDER_ID");
        let api_keys_text = required("VCX_API_KEY");
        let api_keys = Keyring::parse(&api_keys_text);
        let seal_keys_text = required("SEAL_KEYS");
        let webhook_url = optional("VCX_WEBHOOK_URL");
        let webhook_secret_text = match webhook_url {
            Some(_) => Some(required("VCX_WEBHOOK_SECRET")),
            None => optional("VCX_WEBHOOK_SECRET"),
        };

        if api_keys.is_empty() && !api_keys_text.is_empty() {
            wrong.push("VCX_API_KEY is wrong: it holds no key".into());
        }
        let seal_keys = parsed("SEAL_KEYS", &seal_keys_text, SealKeys::parse, &mut wrong);
        let webhook_secrets = webhook_secret_text.and_then(|text| {
            parsed(
                "VCX_WEBHOOK_SECRET",
                &text,
                WebhookSecrets::parse,
                &mut wrong,
            )
        });
        let session_keys = optional("SESSION_SECRET")
            .and_then(|text| parsed("SESSION_SECRET", &text, SessionKeys::parse, &mut wrong));
        let allowed_origins = optional("VCX_ALLOWED_ORIGINS")
            .and_then(|text| parsed("VCX_ALLOWED_ORIGINS", &text, origins, &mut wrong))
            .unwrap_or_default();
        let ghl_keys = match optional("GHL_PUBLIC_KEYS") {
            Some(text) => parsed("GHL_PUBLIC_KEYS", &text, GhlKeys::parse, &mut wrong),
            None => Some(GhlKeys::published()),
        };
        let api_url = or("GHL_API_URL", GHL_API_URL)
            .trim_end_matches('/')
            .to_owned();
        let install_url = or("GHL_INSTALL_URL", GHL_INSTALL_URL);
        for (name, url) in [
            ("GHL_API_URL", Some(&api_url)),
            ("GHL_INSTALL_URL", Some(&install_url)),
            ("GHL_REDIRECT_URI", Some(&redirect_uri)),
            ("VCX_WEBHOOK_URL", webhook_url.as_ref()),
        ] {
            let is_url = |url: &String| url.starts_with("https://") || url.starts_with("http://");
            if url.is_some_and(|url| !url.is_empty() && !is_url(url)) {
                wrong.push(format!("{name} is not an http(s) URL"));
            }
        }

        match (seal_keys, ghl_keys, wrong.is_empty()) {
            (Some(seal_keys), Some(ghl_keys), true) => Ok(Self {
                client_id,
                client_secret,
                redirect_uri,
                provider_id,
                version_id: optional("GHL_VERSION_ID"),
                scopes: or("GHL_SCOPES", GHL_SCOPES),
                api_url,
                install_url,
                ghl_keys,
                webhook_url,
                webhook_secrets,
                api_keys,
                seal_keys,
                session_keys,
                allowed_origins,
            }),
            _ => Err(wrong),
        }
    }

    /// Whether a request with this `Origin` may come with a session; one without is no page's.
    pub fn allows(&self, origin: Option<&str>) -> bool {
        origin.is_none_or(|origin| self.allowed_origins.iter().any(|known| known == origin))
    }

    /// The app's id: `GHL_CLIENT_ID` up to its `-` (FACTS §1.1).
    pub fn app_id(&self) -> &str {
        self.client_id.split('-').next().unwrap_or(&self.client_id)
    }
}

fn parsed<T, E: std::fmt::Display>(
    name: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
    wrong: &mut Vec<String>,
) -> Option<T> {
    if text.is_empty() {
        return None;
    }
    match parse(text) {
        Ok(value) => Some(value),
        Err(error) => {
            wrong.push(format!("{name} is wrong: {error}"));
            None
        }
    }
}

/// Origins as browsers send them (RFC 6454 §6.2), so that comparing texts is enough.
fn origins(text: &str) -> Result<Vec<String>, String> {
    let entries = (1..).zip(text.split(',').map(str::trim));
    entries
        .filter(|(_, origin)| !origin.is_empty())
        .map(|(entry, origin)| match is_origin(origin) {
            true => Ok(origin.to_owned()),
            false => Err(format!(
                "entry {entry} is not an origin as browsers send it: scheme://host[:port] in \
                 lower case, without a path and without the scheme's own port"
            )),
        })
        .collect()
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let (host, port) = host_and_port(rest);
    let of = |text: &str, more: &[u8]| {
        let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || more.contains(&b);
        !text.is_empty() && text.bytes().all(known)
    };
    let is_host = match in_brackets(host) {
        Some(address) => of(address, b":"),
        None => of(host, b".-_"),
    };
    let is_port = port.is_none_or(|port| {
        let written = port
            .parse::<u16>()
            .is_ok_and(|number| number.to_string() == port);
        written && !matches!((scheme, port), ("http", "80") | ("https", "443"))
    });
    scheme.starts_with(|c: char| c.is_ascii_lowercase()) && of(scheme, b"+.-") && is_host && is_port
}

/// The names of all settings, for the host to read from its environment.
pub const NAMES: [&str; 15] = [
    "GHL_CLIENT_ID",
    "GHL_CLIENT_SECRET",
    "GHL_REDIRECT_URI",
    "GHL_PROVIDER_ID",
    "GHL_VERSION_ID",
    "GHL_SCOPES",
    "GHL_API_URL",
    "GHL_INSTALL_URL",
    "GHL_PUBLIC_KEYS",
    "VCX_WEBHOOK_URL",
    "VCX_WEBHOOK_SECRET",
    "VCX_API_KEY",
    "SESSION_SECRET",
    "VCX_ALLOWED_ORIGINS",
    "SEAL_KEYS",
];

const GHL_API_URL: &str = "https://services.leadconnectorhq.com";
const GHL_INSTALL_URL: &str = "https://marketplace.gohighlevel.com/v2/oauth/chooselocation";
const GHL_SCOPES: &str = "contacts.readonly contacts.write conversations.readonly \
    conversations.write conversations/message.readonly conversations/message.write \
    locations.readonly locations/customFields.readonly locations/customFields.write \
    oauth.readonly oauth.write";

//! The pages an admin sees: one sentence on what happened, one on what to do.

use crate::http::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The text of a page.
pub struct Page {
    /// What the log calls it: a stable word.
    pub code: &'static str,
    title: &'static str,
    text: &'static str,
}

impl Page {
    pub const CONNECTED: Self = Self {
        code: "connected",
        title: "Connected",
        text: "Chats from vCX now appear in this inbox, and answers go back to the visitor. \
               You can close this window.",
    };
    pub const EXPIRED: Self = Self {
        code: "link_expired",
        title: "This link is too old",
        text: "It was opened more than ten minutes ago. Start the installation again.",
    };
    pub const WRONG_STATE: Self = Self {
        code: "link_wrong",
        title: "This link is not ours",
        text: "It was changed on its way, or begun somewhere else. Nothing was connected. \
               Start the installation again.",
    };
    pub const DENIED: Self = Self {
        code: "access_denied",
        title: "Not connected",
        text: "GoHighLevel reports that access was not given. Start the installation again to \
               choose a location.",
    };
    pub const NO_CODE: Self = Self {
        code: "no_code",
        title: "Not connected",
        text: "GoHighLevel sent no code. Start the installation again.",
    };
    pub const CODE_REFUSED: Self = Self {
        code: "code_refused",
        title: "Not connected",
        text: "GoHighLevel did not accept the installation. If this page was reloaded, the \
               location may be connected already; otherwise start the installation again.",
    };
    pub const NO_ANSWER: Self = Self {
        code: "ghl_silent",
        title: "GoHighLevel does not answer",
        text: "Nothing was connected. Wait a moment, then start the installation again.",
    };
    pub const ODD_ANSWER: Self = Self {
        code: "ghl_odd",
        title: "GoHighLevel answered oddly",
        text: "Nothing was connected. Start the installation again; if it happens again, show \
               this page to whoever runs the sync.",
    };
    pub const NOT_STORED: Self = Self {
        code: "not_stored",
        title: "Not connected",
        text: "The connection could not be stored. Start the installation again.",
    };
}

/// Renders a page; `detail` comes from outside and is escaped. `reference`: vCX's account, for
/// another try.
pub fn page(status: u16, page: &Page, detail: Option<&str>, reference: Option<&str>) -> Response {
    let detail = detail.map_or(String::new(), |text| {
        format!(
            "<p class=\"detail\">{}</p>",
            escape(&text.chars().take(300).collect::<String>())
        )
    });
    let (mark, again) = match status {
        200..=299 => ("good", String::new()),
        _ => ("bad", again(reference)),
    };
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title} – vCX for GoHighLevel</title><style>{STYLE}</style></head>\
         <body><main class=\"{mark}\"><h1>{title}</h1>{detail}<p>{text}</p>{again}</main></body></html>",
        title = page.title,
        text = page.text,
    );
    let style = STANDARD.encode(crate::signature::digest_of(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    Response::text(status, "text/html; charset=utf-8", html)
        .header("content-security-policy", policy)
        // The URL of the callback holds the code.
        .header("referrer-policy", "no-referrer")
}

/// The way to another try, which keeps whose account it is for.
fn again(reference: Option<&str>) -> String {
    let query = reference.map_or(String::new(), |reference| {
        let mut query = form_urlencoded::Serializer::for_suffix(String::from("?"), 1);
        query.append_pair("ref", reference);
        query.finish()
    });
    format!("<p><a href=\"/install{query}\">Start the installation</a></p>")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

const STYLE: &str = "\
:root{color-scheme:light dark;font:17px/1.5 system-ui,sans-serif}\
body{margin:0;min-height:100vh;display:grid;place-items:center}\
main{max-width:28rem;margin:1.5rem;padding:1.5rem 2rem;border-radius:.75rem;\
border:1px solid color-mix(in srgb,CanvasText 18%,transparent);border-top:.35rem solid}\
main.good{border-top-color:#1a8f4c}main.bad{border-top-color:#c2412d}\
h1{font-size:1.35rem;margin:.25rem 0 .75rem}p{margin:.5rem 0}\
a{color:LinkText}\
.detail{font-weight:600;overflow-wrap:anywhere}";

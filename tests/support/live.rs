//! Live clients: browsers that hold a socket open, and what the host does for them.

use super::{Caller, LOCATION, World};
use serde_json::{Value, json};
use vcx_ghl::edge::Incoming;
use vcx_ghl::http::Response;
use vcx_ghl::location::{Cursor, Input, PROTOCOL};
use vcx_ghl::session::Session;
use vcx_ghl::wire;

/// A socket, both ends of it.
#[derive(Debug)]
pub struct Socket {
    tags: Vec<String>,
    /// What the platform keeps with it.
    cursor: Option<Cursor>,
    /// What came and was not looked at.
    pub frames: Vec<Value>,
    closed: Option<(u16, String)>,
    newest: i64,
    flushes: usize,
    /// Whether a frame for it brings the host's `send` down.
    pub is_broken: bool,
}

/// A live client.
#[derive(Clone, Debug)]
pub struct Live(usize);

impl World {
    /// Somebody listens to `chat-1` for an hour: after an event, or to what is new.
    pub fn listen(&mut self, after: Option<i64>) -> Live {
        let session = self.session();
        self.listen_as(&session, after)
    }

    /// Somebody with a session listens.
    pub fn listen_as(&mut self, session: &Session, after: Option<i64>) -> Live {
        let before = self.sockets.len();
        let query = after.map_or(String::new(), |id| format!("?after={id}"));
        let caller = self.shake_hands(session, &query);
        assert_eq!(self.status(&caller), 101, "{:?}", self.answer_to(&caller));
        assert_eq!(self.sockets.len(), before + 1);
        Live(before)
    }

    /// The handshake alone.
    pub fn shake_hands(&mut self, session: &Session, query: &str) -> Caller {
        let protocols = format!("{PROTOCOL}, bearer.{}", self.token(session));
        self.http(&Incoming {
            method: "GET",
            url: &format!("https://sync.test/events{query}"),
            upgrade: Some("websocket"),
            protocols: Some(&protocols),
            body: Some(b""),
            ..Incoming::default()
        })
    }

    /// What a client was told since it was last asked, without what all of it has in common.
    pub fn told(&mut self, live: &Live) -> Vec<Value> {
        let mut frames = std::mem::take(&mut self.sockets[live.0].frames);
        for frame in &mut frames {
            if frame["type"] != "ready" && frame["type"] != "reset" {
                let location = frame.as_object_mut().unwrap().remove("locationId");
                assert_eq!(location, Some(json!(LOCATION)));
            }
        }
        frames
    }

    /// The same in a few words each.
    pub fn heard(&mut self, live: &Live) -> Vec<String> {
        self.told(live).iter().map(brief).collect()
    }

    /// The id of the newest event that a client was told.
    pub fn newest(&self, live: &Live) -> i64 {
        self.sockets[live.0].newest
    }

    /// How often a client's socket was looked at for news.
    pub fn flushes(&self, live: &Live) -> usize {
        self.sockets[live.0].flushes
    }

    /// A client has shown everything that it was told.
    pub fn ack_all(&mut self, live: &Live) {
        self.ack(live, self.newest(live));
    }

    /// A client has shown everything up to an event.
    pub fn ack(&mut self, live: &Live, id: i64) {
        self.says(live, Some(&json!({ "ack": id }).to_string()));
    }

    /// A client sends a frame; none is one that is no text.
    pub fn says(&mut self, live: &Live, text: Option<&str>) {
        if let Some(cursor) = self.sockets[live.0].cursor.clone() {
            let text = text.map(str::to_owned);
            self.feed(Input::Heard { cursor, text });
        }
    }

    /// Code and reason with which a client's socket was closed.
    pub fn closed(&self, live: &Live) -> Option<(u16, &str)> {
        let closed = self.sockets[live.0].closed.as_ref();
        closed.map(|(code, reason)| (*code, reason.as_str()))
    }

    /// A client goes.
    pub fn leave(&mut self, live: &Live) {
        if let Some(cursor) = self.drop_socket(live.0, 1005) {
            self.feed(Input::Closed { cursor });
        }
    }

    /// A client's `send` fails from now on: it is gone, and the platform does not know it yet.
    pub fn break_socket(&mut self, live: &Live) {
        self.sockets[live.0].is_broken = true;
    }

    /// One of those who ever listened, by a draw among so many.
    pub fn any_live(&self, draw: impl FnOnce(usize) -> usize) -> Option<Live> {
        (!self.sockets.is_empty()).then(|| Live(draw(self.sockets.len())))
    }

    /// What the platform keeps for a client.
    pub fn cursor(&self, live: &Live) -> Option<&Cursor> {
        self.sockets[live.0].cursor.as_ref()
    }

    /// The object leaves memory, its sockets stay.
    pub fn hibernate(&mut self) {
        assert!(self.calls.is_empty(), "an object that waits does not sleep");
        self.feed(Input::Started);
    }

    /// Every socket goes with the object.
    pub(super) fn lose_sockets(&mut self) {
        for at in 0..self.sockets.len() {
            self.drop_socket(at, 1006);
        }
    }

    fn drop_socket(&mut self, at: usize, code: u16) -> Option<Cursor> {
        let socket = &mut self.sockets[at];
        let cursor = socket.cursor.take()?;
        socket.closed = Some((code, String::new()));
        Some(cursor)
    }

    // The host.

    pub(super) fn accept(
        &mut self,
        response: &Response,
        tags: Vec<String>,
        cursor: Cursor,
        frames: Vec<String>,
    ) {
        assert_eq!(response.status, 101);
        assert_eq!(response.headers["sec-websocket-protocol"], PROTOCOL);
        assert!(tags.len() <= 10 && tags.iter().all(|tag| tag.len() <= 256));
        let tag = tags[0].clone();
        self.sockets.push(Socket {
            tags,
            cursor: None,
            frames: Vec::new(),
            closed: None,
            newest: 0,
            flushes: 0,
            is_broken: false,
        });
        self.send(&tag, cursor, frames);
    }

    pub(super) fn send(&mut self, tag: &str, cursor: Cursor, frames: Vec<String>) {
        // As the platform writes it: strings with two bytes for each character at worst.
        let size = wire::value(&cursor).to_string().encode_utf16().count() * 2;
        assert!(size <= 2_048, "{size} bytes are kept with a socket");
        assert!(
            (0..=100).contains(&cursor.out),
            "{} are under way",
            cursor.out
        );
        let socket = self.socket(tag);
        socket.cursor = Some(cursor);
        if socket.is_broken {
            return;
        }
        for frame in frames {
            let frame: Value = serde_json::from_str(&frame).unwrap();
            let id = frame["id"].as_i64().unwrap();
            if frame["type"] == "ready" || frame["type"] == "reset" {
                assert!(socket.frames.is_empty(), "it is the first");
            } else {
                assert!(id > socket.newest, "{frame} comes late or twice");
            }
            socket.newest = id;
            socket.frames.push(frame);
        }
    }

    pub(super) fn close(&mut self, tag: &str, code: u16, reason: String) {
        assert!(
            reason.len() <= 123,
            "RFC 6455 §5.5 has no room for {reason}"
        );
        let socket = self.sockets.iter_mut().find(|socket| socket.tags[0] == tag);
        // One that went with the object is no longer there.
        if let Some(socket) = socket
            && socket.cursor.take().is_some()
        {
            socket.closed = Some((code, reason));
        }
    }

    pub(super) fn publish(&mut self, tag: &str) {
        let tagged = self.sockets.iter_mut();
        let tagged = tagged.filter(|socket| socket.tags.iter().any(|own| own == tag));
        let fed = tagged.filter_map(|socket| {
            socket.flushes += 1;
            socket.cursor.clone()
        });
        for cursor in fed.collect::<Vec<_>>() {
            self.turn(Input::Flush { cursor });
        }
    }

    fn socket(&mut self, tag: &str) -> &mut Socket {
        let mut sockets = self.sockets.iter_mut();
        sockets.find(|socket| socket.tags[0] == tag).unwrap()
    }
}

/// A frame in a few words.
fn brief(frame: &Value) -> String {
    let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
    match frame["type"].as_str().unwrap() {
        "message.created" => match frame["fromUser"].as_bool().unwrap() {
            true => format!("visitor: {}", text("body")),
            false => format!("agent: {}", text("body")),
        },
        "message.status" => format!("{} {}", text("messageId"), text("status")),
        "conversation.updated" => format!("{} unread", frame["unreadCount"]),
        kind => kind.to_owned(),
    }
}

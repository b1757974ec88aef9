//! What a turn has read already and what it has still to write, so that no row is read twice in
//! a turn, and an item that takes several steps in one is written once.
//!
//! It lives as long as its turn: between two turns the database alone knows.

use super::rows::{Board, Chat, Head};
use super::{Client, Contact, Item, Stage};

/// The rows at hand.
#[derive(Default)]
pub struct Near {
    /// The number of the next item, once it is known.
    pub next_seq: Option<i64>,
    /// Whether KV has yet to take something, if that is known.
    pub mirrors: Option<bool>,
    /// A client, as it is in the database.
    pub client: Option<Client>,
    /// A chat, likewise.
    pub chat: Option<Chat>,
    /// A contact, likewise.
    pub contact: Option<Contact>,
    items: Vec<Kept>,
}

/// An item, and what the database holds of it.
pub struct Kept {
    /// How it is.
    pub item: Item,
    /// How it is written down.
    pub stored: Stored,
}

/// What the database holds of an item.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// Nothing yet.
    New,
    /// An earlier state that was not read.
    Unread,
    /// This.
    As(Box<Item>),
}

impl Kept {
    /// Whether the database does not hold it as it is.
    pub fn is_due(&self) -> bool {
        !matches!(&self.stored, Stored::As(item) if **item == self.item)
    }
}

impl Near {
    /// The item that a question is about.
    pub fn item(&self, is_meant: impl Fn(&Item) -> bool) -> Option<&Item> {
        let mut items = self.items.iter().map(|kept| &kept.item);
        items.find(|item| is_meant(item))
    }

    /// Takes note of an item that was read.
    pub fn read(&mut self, item: &Item) {
        self.items.push(Kept {
            item: item.clone(),
            stored: Stored::As(Box::new(item.clone())),
        });
    }

    /// Takes note of a new item.
    pub fn add(&mut self, item: Item) {
        self.items.push(Kept {
            item,
            stored: Stored::New,
        });
    }

    /// Takes note of how an item is now.
    pub fn put(&mut self, item: &Item) {
        match self.items.iter_mut().find(|kept| kept.item.seq == item.seq) {
            Some(kept) => kept.item = item.clone(),
            None => self.items.push(Kept {
                item: item.clone(),
                stored: Stored::Unread,
            }),
        }
    }

    /// Forgets an item that is taken out. Says whether the database may hold it.
    pub fn remove(&mut self, seq: i64) -> bool {
        let at = self.items.iter().position(|kept| kept.item.seq == seq);
        at.is_none_or(|at| self.items.swap_remove(at).stored != Stored::New)
    }

    /// The items that the database does not hold as they are, of those that a statement is about.
    pub fn due(&mut self, is_meant: impl Fn(&Kept) -> bool) -> impl Iterator<Item = &mut Kept> {
        let items = self.items.iter_mut();
        items.filter(move |kept| kept.is_due() && is_meant(kept))
    }

    /// Forgets items, since a statement changes them.
    pub fn forget(&mut self) {
        self.items.clear();
    }

    /// Puts the new items on a board, which the database does not know yet.
    pub fn onto(&self, board: &mut Board) {
        let new = self.items.iter().filter(|kept| kept.stored == Stored::New);
        for Kept { item, .. } in new {
            let has_place = matches!(
                item.stage,
                Stage::Status | Stage::Live | Stage::Event | Stage::Upkeep | Stage::Flight
            );
            if has_place && item.due.is_some() {
                board.heads.push(Head {
                    seq: item.seq,
                    class: item.class,
                    stage: item.stage,
                    due: item.due,
                });
            }
        }
    }
}

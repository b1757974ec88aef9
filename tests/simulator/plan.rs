//! What a run draws from its seed before it begins: who is there, how much is said, and what goes
//! wrong how often.

use super::dice::Dice;
use super::ghl;
use super::sabotage::Sabotage;

/// A run, as far as it is decided beforehand.
pub struct Plan {
    pub seed: u64,
    /// Messages in both directions.
    pub messages: usize,
    pub locations: usize,
    /// Whether the locations are connected by their agency.
    pub by_agency: bool,
    pub visitors: usize,
    /// How long people talk, in milliseconds.
    pub span: i64,
    /// Messages that come at once.
    pub burst: f64,
    /// Both sides repeat what they hear.
    pub echo: bool,
    pub ghl: ghl::Options,
    /// A paused location refuses all calls, not refreshes alone.
    pub pause_refuses_calls: bool,
    pub rates: [f64; Fault::COUNT],
    pub sabotage: Option<Sabotage>,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident $rate:expr),* $(,)?) => {
        /// What goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[$doc])* $name),* }

        impl Fault {
            pub const ALL: &[Fault] = &[$(Fault::$name),*];
            pub const COUNT: usize = Self::ALL.len();
            /// How often it happens at most, of all occasions.
            const MOST: [f64; Self::COUNT] = [$($rate),*];
        }
    };
}

faults! {
    // A call to GHL or vCX.
    /// The connection fails before the other side hears of it.
    DroppedBefore 0.1,
    /// ... after it has acted.
    DroppedAfter 0.1,
    TimedOutBefore 0.05,
    TimedOutAfter 0.05,
    /// GHL stores a message up to 30 s after a call that it never answers.
    StoredLate 0.15,
    /// 500 or 503, nothing was done.
    ErrorBefore 0.1,
    /// 500 or 503, and it was done.
    ErrorAfter 0.1,
    /// 502 or 504, nothing was done.
    SilentBefore 0.05,
    SilentAfter 0.05,
    TooMany 0.1,
    TooManyWithTime 0.1,
    /// 401 as if the token had expired.
    Expired 0.02,
    /// 401 for another reason.
    WrongScope 0.05,
    Redirect 0.03,
    /// 201, no body, nothing stored.
    EmptySuccess 0.05,
    /// 200 with half a body.
    GarbledSuccess 0.05,
    /// A 422 on a contact that was made all the same.
    RefusedAfter 0.05,
    Slow 0.1,
    // Visits to our edge.
    VisitLost 0.1,
    VisitUnanswered 0.1,
    PushedTwice 0.1,
    PushedAgain 0.1,
    WebhookTwice 0.2,
    WebhookLate 0.2,
    WebhookWeeksLate 0.02,
    DeliveryMissing 0.1,
    // The object and its platform.
    CrashBefore 0.01,
    CrashAfterCommit 0.01,
    CrashAfterOutputs 0.01,
    Evicted 0.1,
    AlarmLate 0.1,
    KvRefused 0.3,
    KvStale 0.5,
    Trap 0.002,
    // Of the scheduled ones the rate says only whether they happen.
    GhlDown 0.5,
    VcxDown 0.5,
    Paused 0.5,
    Revoked 0.5,
    ExpiredEarly 0.5,
    Uninstalled 0.5,
    ClockJump 0.5,
    ContactDeleted 0.5,
    Merged 0.5,
    Poison 0.05,
    VcxPoison 0.05,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64, messages: usize) -> Self {
        let mut dice = Dice::new(seed);
        let calm = dice.chance(0.15);
        let mut rates = [0.0; Fault::COUNT];
        if !calm {
            // Few kinds at a time show what each of them does; all at a time, what they do together.
            let share = *dice.pick(&[0.1, 0.25, 0.5, 0.8]);
            for (rate, most) in rates.iter_mut().zip(Fault::MOST) {
                if dice.chance(share) {
                    *rate = most * *dice.pick(&[0.05, 0.2, 1.0]);
                }
            }
        }
        if rates[Fault::ClockJump as usize] > 0.0 {
            // Half a minute by a clock that jumps is no time to wait for a late message.
            rates[Fault::StoredLate as usize] = 0.0;
        }
        let max = *dice.pick(&[100, 100, 100, 25]);
        let options = ghl::Options {
            search_lag: dice.between(0, 8_000),
            refuse_conversation: dice.chance(0.5),
            status_not_yet: *dice.pick(&[0, 0, 5_000, 15_000]),
            status_not_yet_status: *dice.pick(&[401, 403]),
            location_token_status: *dice.pick(&[200, 201]),
            reconnect: dice.chance(0.7),
            approved_locations: dice.chance(0.5),
            max,
            retry_after: dice.chance(0.5),
            delivery_type: if dice.chance(0.5) { "SMS" } else { "Custom" },
            delivery_webhook_id: dice.chance(0.3),
            unread_webhooks: dice.chance(0.2),
            ..ghl::Options::default()
        };
        let echo = calm && dice.chance(0.2);
        Self {
            seed,
            messages,
            locations: dice.between(1, 3) as usize,
            by_agency: dice.chance(0.3),
            visitors: dice.about(2, 24) as usize,
            span: dice.about(10 * 60_000, 4 * 86_400_000),
            // The loop brake knows so many texts, no more.
            burst: if echo {
                0.0
            } else {
                *dice.pick(&[0.0, 0.2, 0.8])
            },
            echo,
            ghl: options,
            pause_refuses_calls: dice.chance(0.5),
            rates,
            sabotage: None,
        }
    }

    /// The same run with nothing that goes wrong.
    pub fn calm(mut self) -> Self {
        self.rates = [0.0; Fault::COUNT];
        self
    }

    pub fn rate(&self, fault: Fault) -> f64 {
        self.rates[fault as usize]
    }

    /// Sets how often something goes wrong.
    pub fn with(mut self, fault: Fault, rate: f64) -> Self {
        self.rates[fault as usize] = rate;
        self
    }

    /// Whether nothing goes wrong.
    pub fn is_calm(&self) -> bool {
        self.rates.iter().all(|rate| *rate == 0.0)
    }
}

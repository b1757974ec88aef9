//! GHL's rate limit: what it said, what we used, and when the next call may go (FACTS §5).

use crate::http::Response;
use crate::wire::record;

/// A limit and its use. The window is kept in slices one tenth of GHL's interval wide, and the
/// slice that is just leaving the window still counts: in no interval, wherever it begins, are
/// there more calls than the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls in an interval.
    pub max: i64,
    /// The interval in milliseconds.
    pub interval_ms: i64,
    /// What GHL said is left of it.
    pub remaining: Option<i64>,
    /// What GHL said is left of the day.
    pub daily_remaining: Option<i64>,
    /// Nothing is sent before this time.
    blocked_until: i64,
    /// The number of the newest slice.
    slice: i64,
    /// Calls in the newest slice and the ten before it, newest first.
    used: [i64; 11],
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            max: 100,
            interval_ms: 10_000,
            remaining: None,
            daily_remaining: None,
            blocked_until: 0,
            slice: 0,
            used: [0; 11],
        }
    }
}

impl Rate {
    /// When the next call may go; `now` if at once.
    pub fn free_at(&self, now: i64) -> i64 {
        if self.blocked_until > now {
            return self.blocked_until;
        }
        let used = self.shifted(now);
        let mut left: i64 = used.iter().sum();
        let slice = self.slice.max(now / self.width());
        for (age, calls) in used.iter().enumerate().rev() {
            if left < self.max {
                // The slice of the next older age has to leave the window first.
                let leaves = used.len() as i64 - age as i64 - 1;
                return if leaves == 0 {
                    now
                } else {
                    (slice + leaves) * self.width()
                };
            }
            left -= calls;
        }
        now + self.interval_ms
    }

    /// Counts a call.
    pub fn take(&mut self, now: i64) {
        self.used = self.shifted(now);
        self.slice = self.slice.max(now / self.width());
        self.used[0] += 1;
        self.daily_remaining = self.daily_remaining.map(|left| (left - 1).max(0));
        if self.daily_remaining == Some(0) {
            self.block(now + DAY_PROBE);
        }
    }

    /// Takes over what an answer's headers say.
    pub fn learn(&mut self, response: &Response, now: i64) {
        let number =
            |name: &str| -> Option<i64> { response.headers.get(name)?.trim().parse().ok() };
        if let Some(interval) = number("x-ratelimit-interval-milliseconds").filter(|ms| *ms >= 100)
            && interval != self.interval_ms
        {
            // The slices have another width now; the calls in them count as just made.
            let used: i64 = self.shifted(now).iter().sum();
            self.interval_ms = interval.min(3_600_000);
            self.slice = now / self.width();
            self.used = [0; 11];
            self.used[0] = used;
        }
        if let Some(max) = number("x-ratelimit-max").filter(|max| *max > 0) {
            self.max = max;
        }
        self.remaining = number("x-ratelimit-remaining").or(self.remaining);
        let daily_remaining = number("x-ratelimit-daily-remaining");
        if self.daily_remaining == Some(0) && daily_remaining > Some(0) {
            // GHL's new day has begun.
            self.blocked_until = now;
        }
        self.daily_remaining = daily_remaining.or(self.daily_remaining);
        if number("x-ratelimit-remaining") == Some(0) {
            self.block(now + self.interval_ms);
        }
        if daily_remaining == Some(0) {
            self.block(now + DAY_PROBE);
        }
    }

    /// GHL said 429: nothing goes before `Retry-After`, or an interval from now.
    pub fn refused(&mut self, after: Option<i64>, now: i64, jitter: f64) {
        let wait = after.unwrap_or(self.interval_ms);
        self.block(now + wait + (jitter * 500.0) as i64);
    }

    fn block(&mut self, until: i64) {
        self.blocked_until = self.blocked_until.max(until);
    }

    fn width(&self) -> i64 {
        (self.interval_ms / 10).max(1)
    }

    fn shifted(&self, now: i64) -> [i64; 11] {
        // A clock that jumped back counts as not having moved.
        let steps = (now / self.width() - self.slice).max(0);
        let mut used = [0; 11];
        for (age, calls) in self.used.iter().enumerate() {
            let age = age as i64 + steps;
            if let Some(slot) = usize::try_from(age).ok().and_then(|age| used.get_mut(age)) {
                *slot += calls;
            }
        }
        used
    }
}

/// How often to look whether GHL's new day has begun: when it does is undocumented.
const DAY_PROBE: i64 = 900_000;

record!(Rate {
    max,
    interval_ms,
    remaining,
    daily_remaining,
    blocked_until,
    slice,
    used
});

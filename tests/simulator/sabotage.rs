//! Taking away one guard of the sync from outside, to see that the simulator notices.

/// A guard that is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The outbox forgets the pushes that it has sent.
    ForgetPushes,
    /// The outbox and the list of webhooks forget what vCX has taken.
    ForgetWebhooks,
    /// GHL says "not found" when it is asked for a message.
    BlindLook,
    /// What is called and answered is not on disk.
    DropCommits,
    /// No item sees the one ahead of it.
    NoLanes,
    /// The location does not know that it refreshes.
    ForgetRefresh,
    /// The location gets its tokens of before back.
    OldTokens,
    /// Our own messages are not known for ours.
    ForgetOwn,
    /// A message's status is forgotten.
    ForgetStatus,
    /// What was used of the rate limit is forgotten.
    ForgetRate,
    /// The loop brake forgets.
    NoBrake,
    /// The log has the texts.
    Talk,
}

impl Sabotage {
    /// Whether a statement finds nothing.
    pub fn hides(self, sql: &str) -> bool {
        match self {
            Self::NoLanes => {
                sql.starts_with("SELECT seq, class, stage, due FROM outbox WHERE lane")
            }
            Self::ForgetOwn => sql.starts_with("SELECT 1 FROM outbox WHERE ghl_id"),
            Self::ForgetPushes
            | Self::ForgetWebhooks
            | Self::BlindLook
            | Self::DropCommits
            | Self::ForgetRefresh
            | Self::OldTokens
            | Self::ForgetStatus
            | Self::ForgetRate
            | Self::NoBrake
            | Self::Talk => false,
        }
    }

    /// What is changed in the database after each turn.
    pub fn after_turn(self) -> &'static [&'static str] {
        match self {
            Self::ForgetPushes => &["DELETE FROM outbox WHERE stage = 'done' AND key LIKE 'out:%'"],
            Self::ForgetWebhooks => &[
                "DELETE FROM outbox WHERE stage = 'done' AND key LIKE 'in:%'",
                "DELETE FROM seen",
            ],
            Self::ForgetRefresh => &["UPDATE location SET doc = json_set(doc, '$.lifecycle',
                    json('{\"due\":{\"firstSent\":null,\"tries\":0,\"at\":0}}'))
                 WHERE json_extract(doc, '$.lifecycle.refreshing') IS NOT NULL"],
            Self::ForgetStatus => &[
                "UPDATE outbox SET digest = 'pending' WHERE key LIKE 'status:%' AND stage = 'done'",
            ],
            Self::ForgetRate => &[
                "UPDATE pulse SET doc = json_set(doc, '$.rate.used', json('[0,0,0,0,0,0,0,0,0,0,0]'))",
            ],
            Self::NoBrake => &["UPDATE client SET echoes = 0"],
            Self::BlindLook
            | Self::DropCommits
            | Self::NoLanes
            | Self::OldTokens
            | Self::ForgetOwn
            | Self::Talk => &[],
        }
    }
}

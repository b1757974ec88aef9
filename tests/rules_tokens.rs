//! RULES, "Tokens": every transition of the state machine by its name, then the stories.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::*;
use vcx_ghl::location::{Ask, Input, object_of, object_of_company};
use vcx_ghl::seal::key_id;
use vcx_ghl::token::{Action, Event, Lifecycle, Lost, Pause};

const REFRESH: &str = "POST /oauth/token";
const RECONNECT: &str = "POST /oauth/reconnect";
const MINT: &str = "tell company:company-1 mint";
const DISCONNECTED: &str = "vCX location.disconnected";
const CONNECTED: &str = "vCX location.connected";
const EXPIRED: &str = "Invalid token: access token is invalid";
const NOT_ACTIVE: &str = "Location is not active";
const INVALID_GRANT: &str = "Invalid grant: refresh token is invalid";

mod transitions {
    use super::*;

    const NOW: i64 = 1_000_000_000;
    const REFRESH_AT: i64 = NOW + HOUR;

    fn step(state: Lifecycle, event: Event) -> (Lifecycle, Action) {
        state.step(event, REFRESH_AT, NOW, 1.0)
    }

    fn refreshing() -> Lifecycle {
        Lifecycle::Refreshing {
            first_sent: NOW,
            tries: 0,
            sent_at: NOW,
            paused: None,
        }
    }

    fn pause() -> Pause {
        Pause {
            since: NOW - HOUR,
            probes: 2,
            at: NOW,
        }
    }

    fn probing() -> Lifecycle {
        Lifecycle::Refreshing {
            first_sent: NOW,
            tries: 0,
            sent_at: NOW,
            paused: Some(pause()),
        }
    }

    fn refused() -> Lifecycle {
        let since = NOW - HOUR;
        Lifecycle::NeedsReconnect {
            since,
            why: Lost::TokenRefused,
            probe_at: Some(NOW),
            probes: 1,
        }
    }

    fn lost(probe_at: Option<i64>) -> Lifecycle {
        let since = NOW - HOUR;
        Lifecycle::NeedsReconnect {
            since,
            why: Lost::InvalidGrant,
            probe_at,
            probes: 1,
        }
    }

    fn states() -> Vec<Lifecycle> {
        vec![
            Lifecycle::Fresh,
            Lifecycle::Due {
                first_sent: Some(NOW),
                tries: 1,
                at: NOW,
            },
            refreshing(),
            probing(),
            Lifecycle::Paused(pause()),
            Lifecycle::Minting { sent_at: NOW },
            Lifecycle::Reconnecting {
                sent_at: NOW,
                probes: 0,
            },
            refused(),
            lost(None),
            lost(Some(NOW)),
            Lifecycle::Gone { since: NOW - HOUR },
        ]
    }

    const EVENTS: [Event; 15] = [
        Event::Tick,
        Event::Expired,
        Event::ExpiredAgain,
        Event::Renewed,
        Event::RefreshLost,
        Event::RefreshFailed,
        Event::InvalidGrant { company: false },
        Event::InvalidGrant { company: true },
        Event::NotActive,
        Event::MintRefused,
        Event::ReconnectRefused,
        Event::ReconnectLost,
        Event::ProbeTaken,
        Event::ProbeRefused,
        Event::Uninstalled,
    ];

    #[test]
    fn new_tokens_end_every_state() {
        for state in states() {
            assert_eq!(
                step(state, Event::Renewed),
                (Lifecycle::Fresh, Action::None)
            );
        }
    }

    #[test]
    fn an_uninstallation_ends_every_state() {
        for state in states() {
            let (is, action) = step(state, Event::Uninstalled);
            assert!(is.is_gone());
            assert_eq!(action, Action::None);
        }
    }

    #[test]
    fn gone_stays_gone_until_new_tokens_come() {
        for event in EVENTS.into_iter().filter(|event| *event != Event::Renewed) {
            let gone = Lifecycle::Gone { since: NOW - HOUR };
            assert_eq!(step(gone.clone(), event), (gone, Action::None));
        }
    }

    #[test]
    fn a_token_that_lives_for_less_than_two_minutes_is_refreshed_halfway() {
        for (lives, after) in [(120, 60), (90, 45), (45, 22), (1, 0)] {
            let at = vcx_ghl::token::refresh_at(NOW, NOW + lives * SECOND);
            assert_eq!((at - NOW) / SECOND, after, "one that lives for {lives} s");
        }
    }

    #[test]
    fn fresh_is_refreshed_a_minute_before_the_end() {
        let at = vcx_ghl::token::refresh_at(NOW, NOW + DAY);
        assert_eq!(at, NOW + DAY - MINUTE);
        assert_eq!(Lifecycle::Fresh.next_tick(at), Some(at));
        let tick = |now| Lifecycle::Fresh.step(Event::Tick, at, now, 1.0);
        assert_eq!(tick(at - 1), (Lifecycle::Fresh, Action::None));
        let refreshing = Lifecycle::Refreshing {
            first_sent: at,
            tries: 0,
            sent_at: at,
            paused: None,
        };
        assert_eq!(tick(at), (refreshing, Action::Refresh));
    }

    #[test]
    fn fresh_is_refreshed_when_ghl_calls_it_expired() {
        assert_eq!(
            step(Lifecycle::Fresh, Event::Expired),
            (refreshing(), Action::Refresh)
        );
    }

    #[test]
    fn fresh_that_ghl_calls_expired_again_needs_an_admin_and_is_probed() {
        let (is, action) = step(Lifecycle::Fresh, Event::ExpiredAgain);
        let why = Lost::TokenRefused;
        let probe_at = Some(NOW + MINUTE);
        assert_eq!(
            is,
            Lifecycle::NeedsReconnect {
                since: NOW,
                why,
                probe_at,
                probes: 0
            }
        );
        assert_eq!(action, Action::None);
    }

    #[test]
    fn fresh_that_is_not_active_is_paused() {
        let paused = Lifecycle::Paused(Pause {
            since: NOW,
            probes: 0,
            at: NOW + MINUTE,
        });
        assert_eq!(
            step(Lifecycle::Fresh, Event::NotActive),
            (paused, Action::None)
        );
    }

    #[test]
    fn due_is_refreshed_when_its_time_has_come() {
        let due = |at| Lifecycle::Due {
            first_sent: Some(NOW - 5),
            tries: 2,
            at,
        };
        let (is, action) = step(due(NOW), Event::Tick);
        let first_sent = NOW - 5;
        let refreshing = Lifecycle::Refreshing {
            first_sent,
            tries: 2,
            sent_at: NOW,
            paused: None,
        };
        assert_eq!((is, action), (refreshing, Action::Refresh));
        assert_eq!(
            step(due(NOW + 1), Event::Tick),
            (due(NOW + 1), Action::None)
        );
    }

    #[test]
    fn a_lost_refresh_is_sent_again_at_once_twice_and_then_later() {
        let lost = |first_sent, tries| {
            let sent_at = NOW - 8_000;
            let state = Lifecycle::Refreshing {
                first_sent,
                tries,
                sent_at,
                paused: None,
            };
            let (Lifecycle::Due { tries, at, .. }, Action::None) = step(state, Event::RefreshLost)
            else {
                panic!("not due")
            };
            (tries, at - NOW)
        };
        assert_eq!(lost(NOW - 8_000, 0), (1, 0));
        assert_eq!(lost(NOW - 16_000, 1), (2, 0));
        assert_eq!(lost(NOW - 24_000, 2), (3, 8_000));
        assert_eq!(lost(NOW - 30_000, 1), (2, 4_000), "GHL's grace is over");
    }

    #[test]
    fn a_refresh_that_the_host_never_came_back_with_is_lost() {
        let at = NOW - 9_500;
        let state = Lifecycle::Refreshing {
            first_sent: at,
            tries: 0,
            sent_at: at,
            paused: None,
        };
        assert_eq!(state.next_tick(REFRESH_AT), Some(NOW));
        let due = Lifecycle::Due {
            first_sent: Some(at),
            tries: 1,
            at: NOW,
        };
        assert_eq!(step(state, Event::Tick), (due, Action::None));
        assert_eq!(
            step(refreshing(), Event::Tick),
            (refreshing(), Action::None)
        );
    }

    #[test]
    fn a_refresh_that_failed_is_tried_again_ever_more_rarely() {
        let mut waits = Vec::new();
        for tries in 0..12 {
            let state = Lifecycle::Refreshing {
                first_sent: NOW,
                tries,
                sent_at: NOW,
                paused: None,
            };
            let (Lifecycle::Due { at, .. }, Action::None) = step(state, Event::RefreshFailed)
            else {
                panic!("not due")
            };
            waits.push((at - NOW) / SECOND);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
    }

    #[test]
    fn a_refresh_that_is_not_active_pauses() {
        let paused = Lifecycle::Paused(Pause {
            since: NOW,
            probes: 0,
            at: NOW + MINUTE,
        });
        assert_eq!(step(refreshing(), Event::NotActive), (paused, Action::None));
    }

    #[test]
    fn an_invalid_grant_is_minted_where_an_agency_is_known() {
        let minting = Lifecycle::Minting { sent_at: NOW };
        let event = Event::InvalidGrant { company: true };
        assert_eq!(step(refreshing(), event), (minting, Action::Mint));
    }

    #[test]
    fn an_invalid_grant_without_an_agency_is_reconnected() {
        let reconnecting = Lifecycle::Reconnecting {
            sent_at: NOW,
            probes: 0,
        };
        let event = Event::InvalidGrant { company: false };
        assert_eq!(step(refreshing(), event), (reconnecting, Action::Reconnect));
    }

    #[test]
    fn a_pause_is_probed_by_a_refresh() {
        assert_eq!(
            step(Lifecycle::Paused(pause()), Event::Tick),
            (probing(), Action::Refresh)
        );
        let later = Lifecycle::Paused(Pause {
            at: NOW + 1,
            ..pause()
        });
        assert_eq!(step(later.clone(), Event::Tick), (later, Action::None));
    }

    #[test]
    fn a_pause_that_goes_on_is_probed_ever_more_rarely() {
        for event in [Event::NotActive, Event::RefreshFailed] {
            let paused = Pause {
                since: NOW - HOUR,
                probes: 3,
                at: NOW + 8 * MINUTE,
            };
            assert_eq!(
                step(probing(), event),
                (Lifecycle::Paused(paused), Action::None)
            );
        }
        let probes = 20;
        let paused = Some(Pause { probes, ..pause() });
        let state = Lifecycle::Refreshing {
            first_sent: NOW,
            tries: 0,
            sent_at: NOW,
            paused,
        };
        let (Lifecycle::Paused(pause), _) = step(state, Event::NotActive) else {
            panic!()
        };
        assert_eq!(pause.at - NOW, HOUR, "once an hour at the least");
    }

    /// GHL may have rotated: within the grace the old token still brings the new pair.
    #[test]
    fn a_probe_that_was_lost_is_sent_again() {
        let due = Lifecycle::Due {
            first_sent: Some(NOW),
            tries: 1,
            at: NOW,
        };
        assert_eq!(step(probing(), Event::RefreshLost), (due, Action::None));
    }

    #[test]
    fn what_the_agency_cannot_mint_is_reconnected() {
        let reconnecting = Lifecycle::Reconnecting {
            sent_at: NOW,
            probes: 0,
        };
        let minting = Lifecycle::Minting { sent_at: NOW };
        let after = (reconnecting, Action::Reconnect);
        assert_eq!(step(minting.clone(), Event::MintRefused), after);
        assert_eq!(step(minting.clone(), Event::Tick), (minting, Action::None));
        let silent = Lifecycle::Minting {
            sent_at: NOW - 2 * MINUTE,
        };
        assert_eq!(step(silent, Event::Tick), after);
    }

    #[test]
    fn a_refused_reconnect_needs_an_admin() {
        let state = Lifecycle::Reconnecting {
            sent_at: NOW,
            probes: 0,
        };
        let (is, action) = step(state, Event::ReconnectRefused);
        let (why, probe_at) = (Lost::InvalidGrant, None);
        assert_eq!(
            is,
            Lifecycle::NeedsReconnect {
                since: NOW,
                why,
                probe_at,
                probes: 0
            }
        );
        assert_eq!(action, Action::None);
        assert_eq!(
            is.next_tick(REFRESH_AT),
            None,
            "nothing but an installation helps"
        );
    }

    #[test]
    fn a_reconnect_without_an_answer_is_tried_again_later() {
        let state = Lifecycle::Reconnecting {
            sent_at: NOW,
            probes: 1,
        };
        let silent = Lifecycle::Reconnecting {
            sent_at: NOW - 40_000,
            probes: 1,
        };
        let (why, probe_at) = (Lost::InvalidGrant, Some(NOW + 2 * MINUTE));
        let needs = Lifecycle::NeedsReconnect {
            since: NOW,
            why,
            probe_at,
            probes: 1,
        };
        assert_eq!(
            step(state.clone(), Event::ReconnectLost),
            (needs.clone(), Action::None)
        );
        assert_eq!(step(silent, Event::Tick), (needs, Action::None));
        assert_eq!(step(state.clone(), Event::Tick), (state, Action::None));
        let again = Lifecycle::Reconnecting {
            sent_at: NOW,
            probes: 2,
        };
        assert_eq!(
            step(lost(Some(NOW)), Event::Tick),
            (again, Action::Reconnect)
        );
    }

    #[test]
    fn a_refused_token_is_probed_and_is_fresh_when_ghl_takes_it_again() {
        let (is, action) = step(refused(), Event::Tick);
        assert_eq!(action, Action::Probe);
        let Lifecycle::NeedsReconnect {
            probe_at: Some(at),
            probes: 2,
            ..
        } = is
        else {
            panic!()
        };
        assert!(at > NOW + MINUTE);
        assert_eq!(
            step(refused(), Event::ProbeTaken),
            (Lifecycle::Fresh, Action::None)
        );
        assert_eq!(
            step(refused(), Event::ProbeRefused),
            (refused(), Action::None)
        );
    }

    /// What the transitions above do not name changes nothing: late news.
    #[test]
    fn everything_else_is_late_news() {
        use Event as E;
        use Lifecycle as L;
        let mut named = 0;
        for state in states() {
            for event in EVENTS {
                let is_named = match (&state, event) {
                    (_, E::Renewed | E::Uninstalled) => true,
                    (L::Fresh, E::Expired | E::ExpiredAgain | E::NotActive) => true,
                    (L::Due { .. } | L::Paused(_), E::Tick) => true,
                    (L::Refreshing { .. }, E::RefreshLost | E::RefreshFailed) => true,
                    (L::Refreshing { .. }, E::NotActive | E::InvalidGrant { .. }) => true,
                    (L::Minting { .. }, E::MintRefused) => true,
                    (L::Reconnecting { .. }, E::ReconnectRefused | E::ReconnectLost) => true,
                    (L::NeedsReconnect { probe_at, .. }, E::Tick) => probe_at.is_some(),
                    (
                        L::NeedsReconnect {
                            why: Lost::TokenRefused,
                            ..
                        },
                        E::ProbeTaken,
                    ) => true,
                    _ => false,
                };
                named += usize::from(is_named);
                if !is_named {
                    let after = step(state.clone(), event);
                    assert_eq!(after, (state.clone(), Action::None), "{event:?}");
                }
            }
        }
        assert_eq!(named, 43);
    }
}

// Refreshing.

#[test]
fn the_token_is_refreshed_sixty_seconds_before_it_expires() {
    let mut w = World::chatting();
    w.advance(86_399 * SECOND - MINUTE - 1);
    assert_eq!(w.under_way(), NOTHING);
    w.advance(1);
    let call = w.only_call(REFRESH);
    assert_eq!(call.timeout_ms, 8_000);
    assert_eq!(call.form("grant_type").as_deref(), Some("refresh_token"));
    assert_eq!(call.form("refresh_token").as_deref(), Some("refresh-1"));
    assert_eq!(call.form("user_type").as_deref(), Some("Location"));
    assert_eq!(call.form("client_id").as_deref(), Some("app1-key1"));
    assert_eq!(call.form("client_secret").as_deref(), Some("client-secret"));
    assert_eq!(
        call.form("redirect_uri").as_deref(),
        Some("https://sync.test/auth/callback")
    );
    w.take(REFRESH);
    w.push("Hello");
    assert_eq!(w.only_call(SEND).header("authorization"), "Bearer access-2");
}

#[test]
fn a_push_during_a_refresh_waits_for_it_like_for_anything_else() {
    let mut w = World::chatting();
    w.advance(86_399 * SECOND - MINUTE);
    w.only_call(REFRESH);
    let push = w.push("Hello");
    assert!(
        w.waits(&push),
        "a refresh takes a second, and the caller has ten"
    );
    assert_eq!(w.under_way(), [REFRESH], "and nothing goes before it");
    w.advance(SECOND);
    w.take(REFRESH);
    w.take(SEND);
    assert_eq!(w.status(&push), 200);

    let ask = json!({ "locationId": LOCATION, "clientId": "client-1", "name": "Mina" });
    w.advance(86_399 * SECOND - MINUTE);
    let asked = w.post("/contact", &ask);
    assert!(w.waits(&asked));
    w.settle();
    assert_eq!(w.status(&asked), 200);
}

#[test]
fn a_401_that_means_expired_is_a_refresh_and_the_same_call_again() {
    for words in [
        EXPIRED,
        "Invalid JWT",
        "The token expired",
        "token has expired",
    ] {
        let mut w = World::chatting();
        let push = w.push("Hello");
        let call = w.only_call(SEND);
        w.answer(&call, 401, refusal(401, words));
        w.take(REFRESH);
        let again = w.only_call(SEND);
        assert_eq!(again.json(), call.json());
        assert_eq!(again.header("authorization"), "Bearer access-2");
        w.take(SEND);
        assert_eq!(w.status(&push), 200);
    }
}

#[test]
fn a_401_about_scope_class_or_version_is_no_refresh() {
    for words in [
        "The token is not authorized for this scope.",
        "Token's user type mismatch!",
        "This authClass type is not allowed to access this scope. Please reach out to support",
        "version header was not found.",
        "No conversation provider found for this message",
    ] {
        let mut w = World::chatting();
        w.push("Hello");
        let call = w.only_call(SEND);
        w.answer(&call, 401, refusal(401, words));
        assert_eq!(w.under_way(), NOTHING, "{words}");
        w.advance(SECOND);
        assert_eq!(w.under_way(), [SEND], "{words}");
        let error = w.health()["lastError"].clone();
        assert_eq!(error["status"], 401);
        assert_eq!(error["traceId"], "trace-1");
        assert!(error["message"].as_str().unwrap().contains(words));
    }
}

#[test]
fn there_is_one_refresh_at_a_time() {
    let mut w = World::chatting();
    for n in 2..4 {
        let client = format!("client-{n}");
        w.push_with(
            "hello",
            json!({ "clientId": client, "vcxConversationId": client }),
        );
        w.settle();
    }
    for n in 1..4 {
        let client = format!("client-{n}");
        w.push_with(
            "again",
            json!({ "clientId": client, "vcxConversationId": client }),
        );
    }
    assert_eq!(w.under_way(), [SEND, SEND, SEND]);
    for call in w.calls.clone().into_iter().take(2) {
        w.answer(&call, 401, refusal(401, EXPIRED));
        assert_eq!(
            w.under_way()
                .iter()
                .filter(|label| *label == REFRESH)
                .count(),
            1
        );
    }
    w.take(REFRESH);
    // The third was sent with the old token: that it has expired is no news.
    let late = w.calls[0].clone();
    assert_eq!(late.header("authorization"), "Bearer access-1");
    w.answer(&late, 401, refusal(401, EXPIRED));
    assert!(!w.under_way().contains(&REFRESH.to_owned()));
    assert_eq!(w.settle(), [SEND, SEND, SEND]);
}

#[test]
fn three_tries_fit_into_ghl_s_grace_all_with_the_same_token() {
    let mut w = World::chatting();
    w.advance(86_399 * SECOND - MINUTE);
    let since = w.now;
    for n in 0..3 {
        assert_eq!(w.now - since, n * 8 * SECOND);
        let call = w.only_call(REFRESH);
        assert_eq!(call.form("refresh_token").as_deref(), Some("refresh-1"));
        w.advance(8 * SECOND);
    }
    assert_eq!(w.under_way(), NOTHING);
    assert_eq!(w.health()["health"], "down");
    let call = w.wait_for(REFRESH, MINUTE);
    assert_eq!(call.form("refresh_token").as_deref(), Some("refresh-1"));
    w.take(REFRESH);
    assert_eq!(w.health()["health"], "ok");
}

#[test]
fn health_says_when_the_refresh_that_all_wait_for_is_tried_next() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.answer(&call, 401, refusal(401, EXPIRED));
    let call = w.only_call(REFRESH);
    w.answer(&call, 429, refusal(429, "not now"));
    assert_eq!(w.under_way(), NOTHING);
    let next = w.health()["queue"]["nextTryAt"].as_i64().unwrap();
    assert!(next > w.now, "the message itself is due, and not tried");
    w.advance(next - w.now - 1);
    assert_eq!(w.under_way(), NOTHING);
    w.advance(1);
    w.take(REFRESH);
    w.take(SEND);
    assert_eq!(w.health()["queue"]["nextTryAt"], Value::Null);
}

#[test]
fn a_refresh_whose_answer_was_lost_with_the_object_is_sent_again_with_the_same_token() {
    let mut w = World::chatting();
    w.advance(86_399 * SECOND - MINUTE);
    w.only_call(REFRESH);
    w.crash();
    let call = w.only_call(REFRESH);
    assert_eq!(call.form("refresh_token").as_deref(), Some("refresh-1"));
    w.take(REFRESH);
    assert_eq!(w.health()["state"], "connected");
}

#[test]
fn a_late_answer_to_an_older_refresh_changes_nothing() {
    let mut w = World::chatting();
    w.advance(86_399 * SECOND - MINUTE);
    let first = w.only_call(REFRESH);
    w.advance(8 * SECOND);
    w.take(REFRESH);
    w.answer(&first, 400, refusal(400, INVALID_GRANT));
    assert_eq!(w.under_way(), NOTHING);
    assert_eq!(w.health()["state"], "connected");
}

#[test]
fn the_new_pair_is_stored_before_it_is_used() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.answer(&call, 401, refusal(401, EXPIRED));
    let call = w.only_call(REFRESH);
    w.calls.clear();
    let outcome = vcx_ghl::http::Outcome::Answered(vcx_ghl::http::Response::json(
        200,
        &grant(LOCATION, "access-2", "refresh-2"),
    ));
    let input = Input::Answered {
        call: call.name,
        attempt: call.attempt,
        outcome,
    };
    let outputs = w.handle(&input).unwrap();
    // The transaction is over; the call that uses the new token has not left yet.
    assert!(format!("{outputs:?}").contains("POST /conversations/messages/inbound"));
    assert_eq!(
        stored(&w),
        json!({ "access": "access-2", "refresh": "refresh-2" })
    );
}

#[test]
fn tokens_are_sealed_at_rest() {
    let mut w = World::chatting();
    w.advance(86_399 * SECOND - MINUTE);
    w.settle();
    let rows = w.number(
        "SELECT count(*) FROM location WHERE doc LIKE '%access-%' OR tokens LIKE '%access-%'
            OR doc LIKE '%refresh-%' OR tokens LIKE '%refresh-%'",
    );
    assert_eq!(rows, 0);
    for (key, value) in &w.kv {
        assert!(
            !value.contains("access-") && !value.contains("refresh-"),
            "{key}: {value}"
        );
    }
    let kv = w.kv("token:loc-1");
    let sealed = kv["sealed"].as_str().unwrap();
    let opened = w.settings().seal_keys.open(sealed, LOCATION).unwrap();
    let opened: Value = serde_json::from_slice(&opened).unwrap();
    assert_eq!(opened["refresh"], "refresh-2", "KV has the latest");
    assert!(
        w.settings().seal_keys.open(sealed, "loc-2").is_err(),
        "and for this location alone"
    );
}

/// GHL refuses what it has just issued: it needs a person, and is probed all the same.
#[test]
fn a_token_that_is_refused_right_after_its_refresh_is_not_refreshed_for_ever() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.answer(&call, 401, refusal(401, EXPIRED));
    w.take(REFRESH);
    let call = w.only_call(SEND);
    w.answer(&call, 401, refusal(401, EXPIRED));
    let event = w.only_call(DISCONNECTED);
    assert!(
        event.json()["reason"]
            .as_str()
            .unwrap()
            .contains("/install")
    );
    w.take(DISCONNECTED);
    assert_eq!(w.health()["state"], "needs_reconnect");
    assert_eq!(w.health()["health"], "down");
    let probe = w.wait_for("GET /locations/loc-1", 2 * MINUTE);
    w.answer(&probe, 401, refusal(401, EXPIRED));
    let probe = w.wait_for("GET /locations/loc-1", 10 * MINUTE);
    assert_eq!(probe.header("authorization"), "Bearer access-2");
    w.answer(&probe, 200, json!({ "location": { "id": LOCATION } }));
    let made = w.settle();
    assert!(
        made.contains(&CONNECTED.to_owned()) && made.contains(&SEND.to_owned()),
        "{made:?}"
    );
    assert_eq!(w.health()["state"], "connected");
}

/// A token was once called expired, and its successor served well. Weeks later another one is.
#[test]
fn an_old_suspicion_is_forgotten_once_ghl_has_taken_the_token() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.answer(&call, 401, refusal(401, EXPIRED));
    assert_eq!(w.settle(), [REFRESH, SEND]);
    assert_eq!(w.pass(DAY), [REFRESH]);
    w.push("Again");
    let call = w.only_call(SEND);
    w.answer(&call, 401, refusal(401, EXPIRED));
    assert_eq!(w.settle(), [REFRESH, SEND]);
    assert_eq!(w.health()["state"], "connected");
}

#[test]
fn a_token_that_lives_for_seconds_is_not_refreshed_without_end() {
    let mut w = World::new();
    let mut reply = grant(LOCATION, "access-1", "refresh-1");
    merge(&mut reply, json!({ "expires_in": 30 }));
    w.connect_with(reply);
    w.settle();
    let until = w.now + 10 * MINUTE;
    let mut refreshes = 0;
    while w.now < until {
        while let Some(call) = w.calls.first().cloned() {
            refreshes += 1;
            let mut reply = grant(LOCATION, "access-1", "refresh-1");
            merge(&mut reply, json!({ "expires_in": 30 }));
            w.answer(&call, 200, reply);
            assert!(refreshes <= 50, "{refreshes} after {} ms", w.now - START);
        }
        w.advance_to_next(until - w.now);
    }
}

// Pauses.

#[test]
fn location_is_not_active_keeps_the_tokens_pauses_and_probes_with_growing_intervals() {
    let mut w = World::chatting();
    let push = w.push("Hello");
    let call = w.only_call(SEND);
    w.answer(&call, 400, refusal(400, NOT_ACTIVE));
    assert_eq!(w.under_way(), NOTHING);
    let health = w.health();
    assert_eq!(health["state"], "paused");
    assert_eq!(health["health"], "down");
    assert!(
        health["reasons"][0]
            .as_str()
            .unwrap()
            .contains("not active")
    );
    let mut since = w.now;
    let mut waits = Vec::new();
    for _ in 0..10 {
        let probe = w.wait_for(REFRESH, 2 * HOUR);
        assert_eq!(
            probe.form("refresh_token").as_deref(),
            Some("refresh-1"),
            "they are kept"
        );
        waits.push(w.now - since);
        since = w.now;
        w.answer(&probe, 400, refusal(400, NOT_ACTIVE));
    }
    assert!(
        waits.windows(2).take(5).all(|pair| pair[0] < pair[1]),
        "{waits:?}"
    );
    assert!(
        waits[0] >= 30 * SECOND && waits.iter().all(|wait| *wait <= HOUR),
        "{waits:?}"
    );
    assert_eq!(w.status(&push), 202);
    let push = w.push("Still there?");
    assert_eq!(w.status(&push), 202);
    assert!(
        w.body(&push)["reason"]
            .as_str()
            .unwrap()
            .contains("not active")
    );
    let ask = json!({ "locationId": LOCATION, "clientId": "client-1", "name": "Mina" });
    let asked = w.post("/contact", &ask);
    assert_eq!(w.status(&asked), 503);

    w.wait_for(REFRESH, 2 * HOUR);
    let made = w.settle();
    assert_eq!(made[..3], [REFRESH, SEND, SEND]);
    assert_eq!(w.health()["state"], "connected");
    assert_eq!(w.kv("location:loc-1")["state"], "connected");
}

#[test]
fn a_refresh_that_is_not_active_pauses_too() {
    let mut w = World::chatting();
    w.advance(86_399 * SECOND - MINUTE);
    let call = w.only_call(REFRESH);
    w.answer(&call, 400, refusal(400, NOT_ACTIVE));
    assert_eq!(w.health()["state"], "paused");
    assert_eq!(w.kv("location:loc-1")["state"], "paused");
    w.wait_for(REFRESH, 2 * MINUTE);
    w.take(REFRESH);
    assert_eq!(w.health()["state"], "connected");
    assert_eq!(
        w.settle(),
        NOTHING,
        "vCX was not told of it, so it is not told that it is over"
    );
}

// Invalid grants.

#[test]
fn an_invalid_grant_is_minted_anew_by_the_agency_s_token() {
    let mut w = agency_location();
    let push = w.push("Hello");
    let call = w.only_call(SEND);
    w.answer(&call, 401, refusal(401, EXPIRED));
    let call = w.only_call(REFRESH);
    w.answer(&call, 400, refusal(400, INVALID_GRANT));
    let mint = w.only_call(MINT);
    assert_eq!(
        mint.told().1,
        &Ask::Mint {
            location_id: LOCATION.into()
        }
    );
    w.answer(&mint, 202, json!({ "queued": true }));
    assert_eq!(w.under_way(), NOTHING);
    // The agency's object comes back with them.
    w.advance(SECOND);
    from_agency(&mut w, "access-2");
    assert_eq!(w.only_call(SEND).header("authorization"), "Bearer access-2");
    w.take(SEND);
    assert_eq!(w.status(&push), 200);
    assert_eq!(w.under_way(), NOTHING, "vCX never heard of it");
    assert_eq!(
        w.health()["via"],
        "install",
        "how it was installed is as it was"
    );
}

#[test]
fn an_invalid_grant_that_the_agency_cannot_mint_is_reconnected_once() {
    for how in ["unknown", "refused later", "silence"] {
        let mut w = agency_location();
        invalid_grant(&mut w);
        let mint = w.only_call(MINT);
        match how {
            "unknown" => w.answer(&mint, 404, json!({ "code": "unknown_location" })),
            "refused later" => {
                w.answer(&mint, 202, json!({ "queued": true }));
                w.ask(Ask::MintRefused {
                    why: "This location is not installed".into(),
                });
            }
            _ => w.answer(&mint, 202, json!({ "queued": true })),
        }
        let call = w.wait_for(RECONNECT, 3 * MINUTE);
        assert_eq!(
            call.json(),
            json!({
                "clientKey": "app1-key1", "clientSecret": "client-secret", "locationId": LOCATION,
            })
        );
        w.answer(
            &call,
            200,
            json!({ "authorizationCode": "code-1", "expiresAt": "soon" }),
        );
        let exchange = w.only_call(REFRESH);
        assert_eq!(
            exchange.form("grant_type").as_deref(),
            Some("authorization_code")
        );
        assert_eq!(exchange.form("code").as_deref(), Some("code-1"));
        w.answer(&exchange, 200, grant(LOCATION, "access-2", "refresh-2"));
        assert_eq!(w.health()["state"], "connected");
        assert_eq!(stored(&w)["refresh"], "refresh-2");
    }
}

#[test]
fn an_invalid_grant_without_an_agency_is_reconnected_at_once() {
    let mut w = World::chatting();
    invalid_grant(&mut w);
    w.only_call(RECONNECT);
}

#[test]
fn a_reconnect_that_is_refused_needs_an_admin_visibly_and_queued_work_waits() {
    for answer in [
        (404, refusal(404, "Cannot POST /oauth/reconnect")),
        (400, refusal(400, "no")),
        (200, json!({ "expiresAt": "never" })),
    ] {
        let mut w = World::chatting();
        w.push("Hello");
        let call = w.only_call(SEND);
        w.answer(&call, 401, refusal(401, EXPIRED));
        let call = w.only_call(REFRESH);
        w.answer(&call, 400, refusal(400, INVALID_GRANT));
        let call = w.only_call(RECONNECT);
        w.answer(&call, answer.0, answer.1);
        let event = w.take(DISCONNECTED);
        assert_eq!(event.json()["locationId"], LOCATION);
        assert!(
            event.json()["reason"]
                .as_str()
                .unwrap()
                .contains("/install")
        );
        let health = w.health();
        assert_eq!(health["state"], "needs_reconnect");
        assert_eq!(health["health"], "down");
        assert!(health["reasons"][0].as_str().unwrap().contains("/install"));
        assert_eq!(w.kv("location:loc-1")["state"], "needs_reconnect");
        let push = w.push("Anybody?");
        assert_eq!(w.status(&push), 202);
        assert!(w.body(&push)["reason"].as_str().unwrap().contains("admin"));
        assert_eq!(w.pass(7 * DAY), NOTHING, "once, and told once");

        // An agent's words still reach the visitor; their status waits.
        w.reply("agent-1", "Hi");
        assert_eq!(w.settle(), ["vCX message.created"]);

        w.connect_with(grant(LOCATION, "access-9", "refresh-9"));
        let made = w.settle();
        assert_eq!(
            made.iter().filter(|label| *label == SEND).count(),
            2,
            "{made:?}"
        );
        assert!(made.contains(&"PUT /conversations/messages/agent-1/status".to_owned()));
        assert_eq!(made.iter().filter(|label| *label == CONNECTED).count(), 1);
        assert_eq!(w.health()["health"], "ok");
    }
}

#[test]
fn a_reconnect_without_an_answer_is_not_a_refusal() {
    let mut w = World::chatting();
    invalid_grant(&mut w);
    let call = w.only_call(RECONNECT);
    w.drop_call(&call);
    w.take(DISCONNECTED);
    assert_eq!(w.health()["state"], "needs_reconnect");
    let call = w.wait_for(RECONNECT, HOUR);
    w.answer(&call, 200, json!({ "authorizationCode": "code-1" }));
    let exchange = w.only_call(REFRESH);
    w.answer(&exchange, 200, grant(LOCATION, "access-2", "refresh-2"));
    w.take(CONNECTED);
    assert_eq!(w.health()["state"], "connected");
}

#[test]
fn a_refresh_reply_that_cannot_be_read_is_a_lost_one() {
    let mut w = World::chatting();
    w.advance(86_399 * SECOND - MINUTE);
    let call = w.only_call(REFRESH);
    let html = vcx_ghl::http::Response::text(200, "text/html", "<html>".into());
    w.answer_with(&call, html);
    let call = w.only_call(REFRESH);
    assert_eq!(
        call.form("refresh_token").as_deref(),
        Some("refresh-1"),
        "GHL may have rotated"
    );
    w.take(REFRESH);
    assert_eq!(w.health()["state"], "connected");
}

#[test]
fn both_cases_of_names_in_a_token_reply_are_read() {
    let mut w = World::connected();
    w.advance(86_399 * SECOND - MINUTE);
    let call = w.only_call(REFRESH);
    let camel = json!({
        "accessToken": "access-2", "refreshToken": "refresh-2", "expiresIn": "3600",
        "userType": "Location", "locationId": LOCATION, "companyId": "company-1",
    });
    w.answer(&call, 200, camel);
    assert_eq!(stored(&w)["access"], "access-2");
    let expires = w.health()["token"]["expiresAt"].as_i64().unwrap();
    assert_eq!(expires - w.now, HOUR);
}

// Agencies.

#[test]
fn a_company_token_is_exchanged_for_each_approved_location() {
    for taken in [200, 201] {
        let mut agency = World::of(&object_of_company("company-1"), &[]);
        let mut reply = company_grant("company-1", "access-1", "refresh-1");
        merge(
            &mut reply,
            json!({ "approvedLocations": ["loc-1", "loc-2"] }),
        );
        agency.connect_with(reply);
        assert_eq!(
            agency.under_way(),
            ["POST /oauth/locationToken", "POST /oauth/locationToken"]
        );
        for (n, location) in ["loc-1", "loc-2"].into_iter().enumerate() {
            let call = agency.calls[0].clone();
            assert_eq!(
                call.json(),
                json!({ "companyId": "company-1", "locationId": location })
            );
            assert_eq!(call.header("authorization"), "Bearer access-1");
            let mut reply = grant(location, &format!("access-{n}0"), &format!("refresh-{n}0"));
            merge(&mut reply, json!({ "companyId": "company-1" }));
            agency.answer(&call, taken, reply);
        }
        for location in ["loc-1", "loc-2"] {
            let word = agency.calls[0].clone();
            let (
                object,
                Ask::Connect {
                    grant,
                    via,
                    reference,
                },
            ) = word.told()
            else {
                panic!()
            };
            assert_eq!(object, object_of(location));
            assert_eq!(
                (via.as_str(), reference.as_deref()),
                ("company", Some("acme"))
            );
            assert!(grant.tokens.access.starts_with("access-"));
            agency.answer(&word, 200, json!({ "connected": true }));
        }
        assert_eq!(agency.under_way(), NOTHING);
        assert!(agency.kv("token:company:company-1")["sealed"].is_string());
        assert!(
            agency.kv.keys().all(|key| !key.starts_with("location:")),
            "it is no location"
        );
    }
}

#[test]
fn an_agency_s_second_token_for_a_connected_location_is_no_news() {
    let mut w = agency_location();
    w.settle();
    let before = w.health();
    from_agency(&mut w, "access-2");
    assert_eq!(w.under_way(), NOTHING);
    assert_eq!(w.health()["via"], before["via"]);
    w.push("Hello");
    let call = w.calls[0].clone();
    assert_eq!(call.header("authorization"), "Bearer access-2");
}

#[test]
fn a_location_that_its_agency_connects_says_so() {
    let mut w = World::new();
    from_agency(&mut w, "access-1");
    let event = w.take(CONNECTED);
    assert_eq!(
        event.json(),
        json!({
            "type": "location.connected", "locationId": LOCATION, "companyId": "company-1",
            "via": "company", "timestamp": START,
        })
    );
    assert_eq!(w.kv("location:loc-1")["companyId"], "company-1");
    let word = w.call("tell company:company-1 register");
    assert_eq!(
        word.told().1,
        &Ask::Register {
            location_id: LOCATION.into()
        }
    );
}

#[test]
fn without_approved_locations_the_installed_ones_are_listed_by_pages() {
    let mut agency = World::of(&object_of_company("company-1"), &[]);
    agency.connect_with(company_grant("company-1", "access-1", "refresh-1"));
    let call = agency.only_call("GET /oauth/installedLocations");
    assert_eq!(call.query("companyId").as_deref(), Some("company-1"));
    assert_eq!(call.query("appId").as_deref(), Some("app1"));
    assert_eq!(call.query("isInstalled").as_deref(), Some("true"));
    assert_eq!(call.query("skip").as_deref(), Some("0"));
    let limit: usize = call.query("limit").unwrap().parse().unwrap();
    let locations: Vec<Value> = (0..limit)
        .map(|n| json!({ "_id": format!("loc-{n}"), "isInstalled": true }))
        .collect();
    agency.answer(
        &call,
        200,
        json!({ "locations": locations, "count": limit + 1 }),
    );
    let mut minted = Vec::new();
    let mut listed = 1;
    while minted.len() <= limit {
        let Some(call) = agency.calls.first().cloned() else {
            agency.advance_to_next(MINUTE);
            continue;
        };
        match call.label().as_str() {
            "GET /oauth/installedLocations" => {
                assert_eq!(call.query("skip").unwrap(), limit.to_string());
                listed += 1;
                let rest = json!([
                    { "_id": "loc-last", "isInstalled": true },
                    { "_id": "loc-not", "isInstalled": false },
                ]);
                agency.answer(&call, 200, json!({ "locations": rest, "count": limit + 1 }));
            }
            "POST /oauth/locationToken" => {
                let location = call.json()["locationId"].as_str().unwrap().to_owned();
                agency.answer(&call, 201, grant(&location, "access-5", "refresh-5"));
                minted.push(location);
            }
            _ => agency.answer(&call, 200, json!({})),
        }
    }
    assert_eq!(listed, 2);
    minted.sort();
    assert_eq!(minted.len(), limit + 1);
    assert!(minted.contains(&"loc-last".to_owned()));
}

/// 250 locations at 100 calls per ten seconds.
#[test]
fn minting_stays_within_the_agency_s_rate() {
    let mut agency = World::of(&object_of_company("company-1"), &[]);
    let mut reply = company_grant("company-1", "access-1", "refresh-1");
    let all: Vec<String> = (0..250).map(|n| format!("loc-{n}")).collect();
    merge(&mut reply, json!({ "approvedLocations": all }));
    agency.connect_with(reply);
    let mut sent = Vec::new();
    while sent.len() < 250 {
        while let Some(call) = agency.calls.first().cloned() {
            if call.label() == "POST /oauth/locationToken" {
                sent.push(call.sent_at);
                let location = call.json()["locationId"].as_str().unwrap().to_owned();
                agency.answer(&call, 201, grant(&location, "access-5", "refresh-5"));
            } else {
                agency.answer(&call, 200, json!({}));
            }
        }
        agency.advance_to_next(MINUTE);
    }
    for window in sent.windows(101) {
        assert!(window[100] - window[0] >= 10 * SECOND, "{window:?}");
    }
    assert!(agency.now - START < 2 * MINUTE);
}

#[test]
fn an_install_under_a_known_company_is_minted_too() {
    let mut agency = World::of(&object_of_company("company-1"), &[]);
    agency.connect_with(company_grant("company-1", "access-1", "refresh-1"));
    let list = agency.only_call("GET /oauth/installedLocations");
    agency.answer(&list, 200, json!({ "locations": [], "count": 0 }));
    let install = json!({
        "type": "INSTALL", "installType": "Location", "locationId": "loc-new",
        "companyId": "company-1",
    });
    let answered = agency.app_event(install);
    assert_eq!(agency.status(&answered), 200);
    let call = agency.only_call("POST /oauth/locationToken");
    assert_eq!(call.json()["locationId"], "loc-new");
}

#[test]
fn an_install_under_an_unknown_company_has_no_effect() {
    let mut agency = World::of(&object_of_company("company-1"), &[]);
    let install = json!({ "type": "INSTALL", "locationId": "loc-new", "companyId": "company-1" });
    let answered = agency.app_event(install);
    assert_eq!(agency.status(&answered), 200);
    assert_eq!(agency.under_way(), NOTHING);
    assert_eq!(
        agency.number("SELECT count(*) FROM sqlite_master"),
        0,
        "not even tables"
    );
}

#[test]
fn what_ghl_will_not_mint_is_told_to_the_location() {
    let mut agency = World::of(&object_of_company("company-1"), &[]);
    agency.connect_with(company_grant("company-1", "access-1", "refresh-1"));
    let list = agency.only_call("GET /oauth/installedLocations");
    agency.answer(&list, 200, json!({ "locations": [], "count": 0 }));
    let asked = agency.ask(Ask::Mint {
        location_id: "loc-1".into(),
    });
    assert_eq!(agency.status(&asked), 202);
    let call = agency.only_call("POST /oauth/locationToken");
    agency.answer(&call, 400, refusal(400, "Location not found"));
    let word = agency.only_call("tell location:loc-1 mintRefused");
    assert_eq!(
        word.told().1,
        &Ask::MintRefused {
            why: "Location not found".into()
        }
    );
}

#[test]
fn an_agency_s_token_is_refreshed_as_a_company_s() {
    let mut agency = World::of(&object_of_company("company-1"), &[]);
    agency.connect_with(company_grant("company-1", "access-1", "refresh-1"));
    let list = agency.only_call("GET /oauth/installedLocations");
    agency.answer(&list, 200, json!({ "locations": [] }));
    agency.advance(86_399 * SECOND - MINUTE);
    let call = agency.only_call(REFRESH);
    assert_eq!(call.form("user_type").as_deref(), Some("Company"));
    agency.answer(
        &call,
        200,
        company_grant("company-1", "access-2", "refresh-2"),
    );
    assert_eq!(agency.under_way(), NOTHING);
    agency.ask(Ask::Mint {
        location_id: "loc-1".into(),
    });
    let call = agency.only_call("POST /oauth/locationToken");
    assert_eq!(call.header("authorization"), "Bearer access-2");
}

// Uninstalling.

#[test]
fn an_uninstall_disconnects() {
    let mut w = World::chatting();
    w.advance(MINUTE);
    w.app_event(json!({ "type": "UNINSTALL" }));
    let event = w.take(DISCONNECTED);
    assert_eq!(event.json()["reason"], "the app was uninstalled");
    assert_eq!(w.health()["state"], "uninstalled");
    assert_eq!(w.health()["health"], "down");
    assert_eq!(w.kv("location:loc-1")["state"], "uninstalled");
    let tombstone = w.kv("token:loc-1");
    assert_eq!(tombstone["gone"], true);
    assert_eq!(tombstone.get("sealed"), None);
    assert_eq!(
        w.number("SELECT count(*) FROM location WHERE tokens IS NOT NULL"),
        0
    );

    let push = w.push("Hello?");
    assert_eq!(w.status(&push), 409);
    assert_eq!(w.body(&push)["code"], "location_disconnected");
    let asked = w.post(
        "/contact",
        &json!({ "locationId": LOCATION, "clientId": "client-1" }),
    );
    assert_eq!(w.status(&asked), 409);
    let reply = w.reply("agent-1", "Hi");
    assert_eq!(w.status(&reply), 200, "200 and no effect");
    assert_eq!(w.pass(3 * DAY), NOTHING);
}

#[test]
fn an_uninstall_older_than_the_connection_has_no_effect() {
    let mut w = World::new();
    w.advance(HOUR);
    w.connect();
    w.settle();
    let older = vcx_ghl::map::iso(w.now - 1);
    w.app_event(json!({ "type": "UNINSTALL", "timestamp": older }));
    assert_eq!(w.under_way(), NOTHING);
    assert_eq!(w.health()["state"], "connected");
    let later = vcx_ghl::map::iso(w.now + 1);
    w.app_event(json!({ "type": "UNINSTALL", "timestamp": later }));
    assert_eq!(w.health()["state"], "uninstalled");
}

#[test]
fn an_agency_s_uninstall_reaches_all_its_locations() {
    let mut agency = World::of(&object_of_company("company-1"), &[]);
    for location in ["loc-1", "loc-2"] {
        agency.ask(Ask::Register {
            location_id: location.into(),
        });
    }
    agency.connect_with(company_grant("company-1", "access-1", "refresh-1"));
    let list = agency.only_call("GET /oauth/installedLocations");
    agency.answer(&list, 200, json!({ "locations": [{ "_id": "loc-3" }] }));
    let mint = agency.only_call("POST /oauth/locationToken");
    agency.answer(&mint, 201, grant("loc-3", "access-3", "refresh-3"));
    agency.settle();
    agency.advance(MINUTE);
    agency.app_event(json!({
        "type": "UNINSTALL", "locationId": null, "companyId": "company-1",
    }));
    let mut told = agency.under_way();
    told.sort();
    assert_eq!(
        told,
        [
            "tell location:loc-1 leave",
            "tell location:loc-2 leave",
            "tell location:loc-3 leave"
        ]
    );
    assert_eq!(
        agency.number("SELECT count(*) FROM location WHERE tokens IS NOT NULL"),
        0
    );

    // And what a location does when it is told.
    let Ask::Leave { at } = agency.calls[0].told().1 else {
        panic!()
    };
    let mut w = agency_location();
    w.ask(Ask::Leave { at: *at });
    w.take(DISCONNECTED);
    assert_eq!(w.health()["state"], "uninstalled");
}

/// The members of an agency that never gave us its token are known all the same.
#[test]
fn an_uninstall_reaches_the_locations_of_an_agency_whose_token_we_never_had() {
    let mut agency = World::of(&object_of_company("company-1"), &[]);
    agency.ask(Ask::Register {
        location_id: "loc-1".into(),
    });
    agency.advance(MINUTE);
    agency.app_event(json!({
        "type": "UNINSTALL", "locationId": null, "companyId": "company-1",
    }));
    assert_eq!(agency.under_way(), ["tell location:loc-1 leave"]);
}

#[test]
fn a_refresh_that_was_under_way_does_not_bring_an_uninstalled_location_back() {
    let mut w = World::chatting();
    w.advance(86_399 * SECOND - MINUTE);
    let refresh = w.only_call(REFRESH);
    w.app_event(json!({ "type": "UNINSTALL" }));
    w.answer(&refresh, 200, grant(LOCATION, "access-2", "refresh-2"));
    assert_eq!(w.health()["state"], "uninstalled");
    assert_eq!(
        w.number("SELECT count(*) FROM location WHERE tokens IS NOT NULL"),
        0
    );
}

#[test]
fn a_refresh_that_was_under_way_does_not_overwrite_the_tokens_of_an_installation() {
    let mut w = World::chatting();
    w.advance(86_399 * SECOND - MINUTE);
    let refresh = w.only_call(REFRESH);
    w.connect_with(grant(LOCATION, "access-8", "refresh-8"));
    w.answer(&refresh, 200, grant(LOCATION, "access-2", "refresh-2"));
    assert_eq!(stored(&w)["refresh"], "refresh-8");
    // A refusal of the old one is no news either.
    let mut w = World::chatting();
    w.advance(86_399 * SECOND - MINUTE);
    let refresh = w.only_call(REFRESH);
    w.connect_with(grant(LOCATION, "access-8", "refresh-8"));
    w.answer(&refresh, 400, refusal(400, INVALID_GRANT));
    assert_eq!(w.health()["state"], "connected");
}

#[test]
fn a_new_installation_brings_an_uninstalled_location_back() {
    let mut w = World::chatting();
    w.advance(MINUTE);
    w.app_event(json!({ "type": "UNINSTALL" }));
    w.settle();
    w.advance(MINUTE);
    w.connect_with(grant(LOCATION, "access-8", "refresh-8"));
    assert_eq!(w.settle(), [CONNECTED]);
    w.push("Hello again");
    assert_eq!(w.only_call(SEND).header("authorization"), "Bearer access-8");
    assert!(w.kv("token:loc-1")["sealed"].is_string());
}

// What KV holds, and restoring from it.

#[test]
fn kv_holds_tokens_directory_and_both_sides_of_the_map() {
    let w = World::chatting();
    let keys: Vec<&str> = w.kv.keys().map(String::as_str).collect();
    let expected = [
        "conv:loc-1:chat-1",
        "ghl:loc-1:cnv-client-1",
        "location:loc-1",
        "token:loc-1",
    ];
    assert_eq!(keys, expected);
    let held = |key: &str| {
        let mut value = w.kv(key);
        assert!(value["rev"].as_i64() >= Some(START), "{key}");
        merge(&mut value, json!({ "rev": null }));
        value
    };
    assert_eq!(
        held("conv:loc-1:chat-1"),
        json!({
            "clientId": "client-1", "contactId": "con-client-1", "conversationId": "cnv-client-1",
        })
    );
    assert_eq!(
        held("ghl:loc-1:cnv-client-1"),
        json!({ "contactId": "con-client-1", "vcxConversationId": "chat-1" })
    );
    assert_eq!(
        held("location:loc-1"),
        json!({ "companyId": null, "state": "connected", "via": "install", "ref": "acme" })
    );
}

#[test]
fn kv_is_written_when_something_changes_and_never_for_a_message() {
    let mut w = World::chatting();
    for _ in 0..3 {
        w.push("Hello");
        w.reply(&format!("agent-{}", w.now), "Hi");
        w.settle();
        w.advance(SECOND);
    }
    assert_eq!(w.mirrored, []);
    w.push_with("elsewhere", json!({ "vcxConversationId": "chat-2" }));
    w.settle();
    let keys: Vec<&str> = w.mirrored.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["conv:loc-1:chat-2", "ghl:loc-1:cnv-client-1"]);
}

#[test]
fn kv_gets_a_value_as_soon_as_it_takes_values_again_and_the_latest_only() {
    let mut w = World::chatting();
    w.kv_works = false;
    for chat in ["chat-2", "chat-1", "chat-3"] {
        w.push_with("words", json!({ "vcxConversationId": chat }));
        w.settle();
        w.advance(3 * SECOND);
    }
    assert_eq!(
        w.kv("ghl:loc-1:cnv-client-1")["vcxConversationId"],
        "chat-1"
    );
    w.kv_works = true;
    w.mirrored.clear();
    w.pass(2 * MINUTE);
    assert_eq!(
        w.kv("ghl:loc-1:cnv-client-1")["vcxConversationId"],
        "chat-3"
    );
    assert_eq!(w.kv("conv:loc-1:chat-2")["contactId"], "con-client-1");
    let writes = w
        .mirrored
        .iter()
        .filter(|(key, _)| key.starts_with("ghl:"))
        .count();
    assert_eq!(writes, 1);
}

#[test]
fn kv_that_fails_holds_no_message_up() {
    let mut w = World::connected();
    w.kv_works = false;
    let push = w.push("Hello");
    w.settle();
    assert_eq!(w.status(&push), 200);
    w.reply("agent-1", "Hi");
    assert_eq!(w.settle().len(), 2);
}

#[test]
fn an_empty_location_restores_its_token_and_each_mapping_on_a_miss() {
    let kv = World::chatting().kv;
    let mut w = World::new();
    w.kv = kv;
    let push = w.push_with("I am back", json!({ "messageId": "m9" }));
    let call = w.only_call(SEND);
    assert_eq!(call.json()["contactId"], "con-client-1");
    assert_eq!(call.json()["conversationId"], "cnv-client-1");
    assert_eq!(call.header("authorization"), "Bearer access-1");
    w.settle();
    assert_eq!(w.status(&push), 200);
    assert_eq!(w.health()["via"], "install");
    assert_eq!(w.health()["ref"], "acme");
}

#[test]
fn an_empty_location_restores_the_chat_of_a_reply() {
    let kv = World::chatting().kv;
    let mut w = World::new();
    w.kv = kv;
    w.reply("agent-1", "Are you back?");
    let find = w.only_call("GET /conversations/search");
    let found = json!([{ "id": "cnv-client-1", "contactId": "con-client-1" }]);
    w.answer(&find, 200, json!({ "conversations": found, "total": 1 }));
    let event = w.only_call("vCX message.created");
    assert_eq!(event.json()["vcxConversationId"], "chat-1");
    assert_eq!(event.json()["clientId"], "client-1");
}

#[test]
fn an_agency_s_empty_object_restores_its_token_too() {
    let mut before = World::of(&object_of_company("company-1"), &[]);
    before.connect_with(company_grant("company-1", "access-1", "refresh-1"));
    let mut agency = World::of(&object_of_company("company-1"), &[]);
    agency.kv = before.kv;
    let asked = agency.ask(Ask::Mint {
        location_id: "loc-1".into(),
    });
    assert_eq!(agency.status(&asked), 202);
    let call = agency.only_call("POST /oauth/locationToken");
    assert_eq!(call.header("authorization"), "Bearer access-1");
}

#[test]
fn an_agency_s_empty_object_still_reaches_its_locations() {
    for with_token in [true, false] {
        let mut before = World::of(&object_of_company("company-1"), &[]);
        if with_token {
            before.connect_with(company_grant("company-1", "access-1", "refresh-1"));
        }
        for location in ["loc-1", "loc-2"] {
            before.ask(Ask::Register {
                location_id: location.into(),
            });
        }
        let mut agency = World::of(&object_of_company("company-1"), &[]);
        agency.kv = before.kv;
        agency.advance(MINUTE);
        agency.app_event(json!({
            "type": "UNINSTALL", "locationId": null, "companyId": "company-1",
        }));
        let mut told = agency.under_way();
        told.sort();
        let all = ["tell location:loc-1 leave", "tell location:loc-2 leave"];
        assert_eq!(told, all, "with a token: {with_token}");
    }
}

#[test]
fn a_tombstone_stops_a_restore() {
    let mut before = World::chatting();
    before.advance(MINUTE);
    before.app_event(json!({ "type": "UNINSTALL" }));
    let mut w = World::new();
    w.kv = before.kv;
    let push = w.push("Hello?");
    assert_eq!(w.status(&push), 409);
    let reply = w.reply("agent-1", "Hi");
    assert_eq!(w.status(&reply), 200);
    assert_eq!(w.number("SELECT count(*) FROM sqlite_master"), 0);
}

#[test]
fn the_object_of_an_unknown_location_writes_nothing() {
    let mut w = World::new();
    w.feed(Input::Started);
    let push = w.push("Hello?");
    assert_eq!(w.status(&push), 404);
    assert_eq!(w.body(&push)["code"], "unknown_location");
    let health = w.get("/locations/loc-1");
    assert_eq!(w.status(&health), 404);
    let reply = w.reply("agent-1", "Hi");
    assert_eq!(w.status(&reply), 200);
    w.feed(Input::Wake);
    assert_eq!(w.number("SELECT count(*) FROM sqlite_master"), 0);
    assert_eq!(w.wake, None);
    assert_eq!(w.under_way(), NOTHING);
}

#[test]
fn a_restored_token_that_has_expired_is_refreshed_first() {
    let kv = World::chatting().kv;
    let mut w = World::new();
    w.kv = kv;
    w.advance(2 * DAY);
    w.push_with("I am back", json!({ "messageId": "m9" }));
    assert_eq!(w.settle(), [REFRESH, SEND]);
}

// At rest: keys that rotate, and keys that are missing.

/// What the engineer who rotates SEAL_KEYS goes by: a new key in front, deploy, wait, look that all
/// records name the new key, take the old one away.
#[test]
fn after_a_rotation_each_record_is_under_the_newest_key_with_the_first_wake_up() {
    let mut w = World::chatting();
    let before = sealed(&w);
    assert_eq!(key_id(&before), Some("k1"));
    w.deploy_with_keys(&[NEW, OLD]);
    assert_eq!(key_id(&sealed(&w)), Some("k2"), "in SQLite");
    assert_eq!(w.kv("token:loc-1")["sealed"], sealed(&w), "and in KV");
    assert_eq!(stored(&w)["refresh"], "refresh-1");
    let told = w.logged("tokens_resealed");
    assert_eq!(
        (&told[0]["was"], &told[0]["is"]),
        (&json!("k1"), &json!("k2"))
    );

    // Once, and no more.
    let after = sealed(&w);
    w.push("Hello");
    w.settle();
    assert_eq!(sealed(&w), after);

    w.deploy_with_keys(&[NEW]);
    w.push("Hello again");
    assert_eq!(w.settle(), [SEND]);
    assert_eq!(w.pass(DAY), [REFRESH]);
    assert_eq!(w.health()["health"], "ok");
}

/// Nobody asks for it and nothing is due: its alarm brings it round all the same.
#[test]
fn after_a_rotation_a_location_that_rests_is_resealed_within_a_day() {
    for needs_reconnect in [false, true] {
        let mut w = World::chatting();
        if needs_reconnect {
            w.advance(86_399 * SECOND - MINUTE);
            let call = w.only_call(REFRESH);
            w.answer(&call, 400, refusal(400, INVALID_GRANT));
            let call = w.only_call(RECONNECT);
            w.answer(&call, 400, refusal(400, "no"));
            w.take(DISCONNECTED);
            assert_eq!(w.health()["state"], "needs_reconnect");
        }
        // Whatever was to be looked at soon has been.
        w.pass(2 * HOUR);
        assert_eq!(key_id(&sealed(&w)), Some("k1"));
        w.set_keys(&[NEW, OLD]);
        let until = w.now + DAY;
        while key_id(&sealed(&w)) == Some("k1") && w.now < until {
            w.advance_to_next(until - w.now);
            w.settle();
        }
        assert_eq!(key_id(&sealed(&w)), Some("k2"), "{needs_reconnect}");
        assert_eq!(w.kv("token:loc-1")["sealed"], sealed(&w));
    }
}

#[test]
fn after_a_rotation_an_agency_s_tokens_are_resealed_too() {
    let mut agency = World::of(&object_of_company("company-1"), &[]);
    agency.connect_with(company_grant("company-1", "access-1", "refresh-1"));
    agency.deploy_with_keys(&[NEW, OLD]);
    let record = agency.kv("token:company:company-1");
    assert_eq!(key_id(record["sealed"].as_str().unwrap()), Some("k2"));
}

/// What an agency's object hands on waits sealed in its queue: one that nobody can open any more is
/// had anew.
#[test]
fn tokens_that_an_agency_could_not_hand_on_before_the_key_went_are_minted_anew() {
    let mut agency = World::of(&object_of_company("company-1"), &[]);
    let mut reply = company_grant("company-1", "access-1", "refresh-1");
    merge(&mut reply, json!({ "approvedLocations": ["loc-1"] }));
    agency.connect_with(reply);
    let mint = agency.only_call("POST /oauth/locationToken");
    agency.answer(&mint, 201, grant("loc-1", "access-2", "refresh-2"));
    agency.only_call("tell location:loc-1 connect");
    agency.deploy_with_keys(&[NEW, OLD]);
    agency.deploy_with_keys(&[NEW]);
    let mint = agency.wait_for("POST /oauth/locationToken", 10 * MINUTE);
    agency.answer(&mint, 201, grant("loc-1", "access-3", "refresh-3"));
    let tell = agency.only_call("tell location:loc-1 connect");
    let Ask::Connect { grant, .. } = tell.told().1 else {
        panic!("{tell:?}")
    };
    assert_eq!(grant.tokens.access, "access-3");
}

#[test]
fn tokens_that_do_not_open_are_said_and_nothing_is_lost() {
    let kv = World::chatting().kv;
    let mut w = World::with(&[("SEAL_KEYS", NEW)]);
    w.kv = kv;
    let push = w.push("Hello?");
    assert_eq!(w.status(&push), 202, "at once: it will not be soon");
    let reason = w.body(&push)["reason"].clone();
    assert!(reason.to_string().contains("SEAL_KEYS"), "{reason}");
    w.advance(10 * SECOND);
    assert_eq!(w.under_way(), NOTHING);
    let health = w.health();
    assert_eq!(health["health"], "down");
    assert_eq!(
        health["reasons"],
        json!([
            "the stored tokens do not open with SEAL_KEYS: the sealed record needs the key \"k1\", \
             which SEAL_KEYS does not hold"
        ])
    );
    let told = w.logged("tokens_do_not_open");
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["level"], &told[0]["key"]),
        (&json!("error"), &json!("k1"))
    );
    // The engineer puts the old key back, behind the new one.
    w.set_keys(&[NEW, OLD]);
    w.pass(2 * MINUTE);
    let again = w.push_with("Hello?", json!({ "messageId": "m1" }));
    assert_eq!(w.status(&again), 200);
    assert_eq!(w.health()["health"], "ok");
}

/// Days, in which the token expires, too: it is not refreshed, not overwritten, not given up.
#[test]
fn tokens_whose_key_is_missing_for_days_are_kept_and_heal_when_it_is_back() {
    let mut w = World::chatting();
    let before = sealed(&w);
    w.deploy_with_keys(&[NEW]);
    let push = w.push("Hello?");
    assert_eq!(
        w.pass(2 * DAY),
        NOTHING,
        "GHL is asked nothing without a token"
    );
    assert_eq!(sealed(&w), before);
    assert_eq!(w.kv("token:loc-1")["sealed"], before);
    assert_eq!(w.status(&push), 202);
    let health = w.health();
    assert_eq!(health["health"], "down");
    assert_eq!(health["reasons"].as_array().unwrap().len(), 2, "{health}");
    assert!(
        health["reasons"][0].to_string().contains("\\\"k1\\\""),
        "{health}"
    );
    assert!(
        health["reasons"][1]
            .to_string()
            .contains("a message has waited"),
        "{health}"
    );
    assert_eq!(
        w.logged("tokens_do_not_open").len(),
        1,
        "once, not each minute"
    );

    w.deploy_with_keys(&[NEW, OLD]);
    assert_eq!(w.pass(10 * MINUTE), [REFRESH, SEND]);
    assert_eq!(w.health()["health"], "ok");
    assert_eq!(key_id(&sealed(&w)), Some("k2"));
}

/// The key goes while calls are under way: their answers are lost with the old instance, and no turn
/// of the new one fails over it.
#[test]
fn a_key_that_goes_while_calls_are_under_way_brings_nothing_down() {
    let first = ["POST /contacts/search", "POST /contacts/", SEND];
    for at in first {
        let mut w = World::connected();
        w.push_with("Hello", json!({ "name": "Mina" }));
        while !w.under_way().contains(&at.to_owned()) {
            let next = w.calls[0].label();
            w.take(&next);
        }
        w.deploy_with_keys(&[NEW]);
        assert_eq!(w.pass(HOUR), NOTHING, "{at}");
        assert_eq!(w.traps, 0);
        assert!(w.health()["reasons"][0].to_string().contains("k1"), "{at}");
        w.deploy_with_keys(&[NEW, OLD]);
        if at == SEND {
            let look = w.wait_for(LOOK, HOUR);
            let found = json!([{ "id": "in-1", "altId": "m1", "direction": "inbound" }]);
            w.answer(&look, 200, page(found, false));
        }
        w.pass(HOUR);
        let again = w.push_with("Hello", json!({ "messageId": "m1", "name": "Mina" }));
        assert_eq!(w.body(&again)["status"], "sent", "{at}");
        assert_eq!(w.health()["queue"]["depth"], 0, "{at}");
    }
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    w.take("vCX message.created");
    w.deploy_with_keys(&[NEW]);
    w.pass(HOUR);
    w.deploy_with_keys(&[NEW, OLD]);
    let made = w.pass(HOUR);
    assert_eq!(made, ["PUT /conversations/messages/agent-1/status"]);
}

/// Whoever can write to KV cannot lend one location's tokens to another.
#[test]
fn a_record_that_was_moved_to_another_location_does_not_open_there() {
    let mut w = World::new();
    let mut other = World::of(&object_of("loc-2"), &[]);
    other.connect_with(grant("loc-2", "access-2", "refresh-2"));
    other.settle();
    w.kv.insert("token:loc-1".into(), other.kv["token:loc-2"].clone());
    let push = w.push("Hello?");
    w.advance(HOUR);
    assert_eq!(w.under_way(), NOTHING);
    assert_eq!(w.status(&push), 202);
    let reasons = w.health()["reasons"].clone();
    assert!(
        reasons[0]
            .to_string()
            .contains("moved from another location"),
        "{reasons}"
    );
    // An installation heals it.
    w.connect();
    assert!(w.settle().contains(&SEND.to_owned()));
    assert_eq!(w.health()["health"], "ok");
}

/// A chat of a location whose agency is `company-1`.
fn agency_location() -> World {
    let mut w = World::new();
    let mut reply = grant(LOCATION, "access-1", "refresh-1");
    merge(&mut reply, json!({ "companyId": "company-1" }));
    w.connect_with(reply);
    w.settle();
    w.push("the first words");
    w.settle();
    w.log.clear();
    w
}

/// The agency's object hands tokens over.
fn from_agency(w: &mut World, access: &str) {
    let mut reply = grant(LOCATION, access, "refresh-2");
    merge(&mut reply, json!({ "companyId": "company-1" }));
    let grant = vcx_ghl::ghl::tokens::Grant::read(&reply).unwrap();
    w.ask(Ask::Connect {
        grant,
        via: "company".into(),
        reference: None,
    });
}

/// The refresh token is dead.
fn invalid_grant(w: &mut World) {
    w.advance(86_399 * SECOND - MINUTE);
    let call = w.only_call(REFRESH);
    w.answer(&call, 400, refusal(400, INVALID_GRANT));
}

/// The stored tokens, opened.
fn stored(w: &World) -> Value {
    let opened = w.settings().seal_keys.open(&sealed(w), LOCATION).unwrap();
    serde_json::from_slice(&opened).unwrap()
}

/// The stored tokens as they are.
fn sealed(w: &World) -> String {
    w.db.connection
        .query_row("SELECT tokens FROM location", [], |row| row.get(0))
        .unwrap()
}

impl World {
    /// The engineer changes SEAL_KEYS.
    fn set_keys(&mut self, keys: &[&str]) {
        let changes = settings(&[("SEAL_KEYS", &keys.join(","))]);
        self.configured = vcx_ghl::settings::Settings::parse(&changes);
    }

    /// The same, and a new instance takes over.
    fn deploy_with_keys(&mut self, keys: &[&str]) {
        self.set_keys(keys);
        self.crash();
    }
}

/// The key of every story, and its successor.
const OLD: &str = "k1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
const NEW: &str = "k2:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

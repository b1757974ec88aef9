//! Who does what when, drawn before anybody does anything.

use super::people::Act;
use super::plan::Fault;
use super::world::{Event, START, World};

impl World {
    /// Writes down who does what when.
    pub fn schedule_everything(&mut self) {
        let start = START + 5_000;
        let resources = match self.plan.by_agency {
            true => vec![self.people.agency.clone()],
            false => self.people.locations.clone(),
        };
        for resource in resources {
            self.at(START, Event::Act(Act::Install { resource }));
        }
        let mut at = start;
        for _ in 0..self.plan.messages {
            if !self.whims.chance(self.plan.burst) {
                at = self.whims.between(start, START + self.plan.span);
            }
            let visitor = self.whims.between(0, self.plan.visitors as i64 - 1) as usize;
            let act = match self.whims.chance(0.6) {
                true => Act::Say { visitor },
                false => Act::Reply {
                    visitor,
                    kind: "Custom",
                },
            };
            let lag = self.whims.between(0, 2_000);
            self.at(at + lag, Event::Act(act));
        }
        self.schedule_more();
        self.schedule_trouble();
        self.at(self.people.ends_at, Event::Act(Act::Over));
    }

    fn schedule_more(&mut self) {
        for visitor in 0..self.plan.visitors {
            let more = [
                (
                    0.3,
                    Act::Reply {
                        visitor,
                        kind: "SMS",
                    },
                ),
                (
                    0.3,
                    Act::Reply {
                        visitor,
                        kind: "InternalComment",
                    },
                ),
                (0.4, Act::Read { visitor }),
                (0.3, Act::LogIn { visitor }),
                (0.3, Act::Introduce { visitor }),
            ];
            for (chance, act) in more {
                if self.whims.chance(chance) {
                    let at = self.some_time();
                    self.at(at, Event::Act(act));
                }
            }
        }
        for location in self.people.locations.clone() {
            // What the loop brake stopped would be said all at once.
            let replays = if self.plan.echo { 0.0 } else { 0.3 };
            let more = [
                (
                    replays,
                    Act::Replay {
                        location: location.clone(),
                    },
                ),
                (
                    0.3,
                    Act::ReplyToStranger {
                        location: location.clone(),
                    },
                ),
            ];
            for (chance, act) in more {
                if self.whims.chance(chance) {
                    let at = self.some_time();
                    self.at(at, Event::Act(act));
                }
            }
        }
    }

    fn schedule_trouble(&mut self) {
        for who in [Fault::GhlDown, Fault::VcxDown] {
            if self.happens(who) {
                let (at, long) = (self.some_time(), self.whims.about(10_000, 2 * 3_600_000));
                self.at(
                    at,
                    Event::Act(Act::Down {
                        who,
                        until: at + long,
                    }),
                );
            }
        }
        for location in self.people.locations.clone() {
            if self.happens(Fault::Paused) {
                let (at, long) = (self.some_time(), self.whims.about(10_000, 3 * 3_600_000));
                self.at(
                    at,
                    Event::Act(Act::Pause {
                        location: location.clone(),
                    }),
                );
                self.at(
                    at + long,
                    Event::Act(Act::Resume {
                        location: location.clone(),
                    }),
                );
            }
            if self.happens(Fault::Uninstalled) {
                let (at, long) = (self.some_time(), self.whims.about(10_000, 12 * 3_600_000));
                self.at(
                    at,
                    Event::Act(Act::Uninstall {
                        location: location.clone(),
                    }),
                );
                let resource = location.clone();
                self.at(at + long, Event::Act(Act::Install { resource }));
            }
            self.schedule_token_trouble(&location);
            while self.happens(Fault::ClockJump) {
                let (at, by) = (self.some_time(), self.whims.between(-120_000, 120_000));
                self.at(
                    at,
                    Event::Act(Act::Jump {
                        location: location.clone(),
                        by,
                    }),
                );
            }
        }
        if self.plan.by_agency {
            let agency = self.people.agency.clone();
            self.schedule_token_trouble(&agency);
        }
        for visitor in 0..self.plan.visitors {
            if self.happens(Fault::ContactDeleted) && self.whims.chance(0.3) {
                let at = self.some_time();
                self.at(at, Event::Act(Act::Delete { visitor }));
            }
            if self.happens(Fault::Merged) && self.whims.chance(0.3) {
                let at = self.some_time();
                self.at(at, Event::Act(Act::Merge { visitor }));
            }
        }
    }

    fn schedule_token_trouble(&mut self, resource: &str) {
        let resource = resource.to_owned();
        if self.happens(Fault::Revoked) {
            let at = self.some_time();
            let resource = resource.clone();
            self.at(at, Event::Act(Act::Revoke { resource }));
        }
        if self.happens(Fault::ExpiredEarly) {
            let at = self.some_time();
            self.at(at, Event::Act(Act::Expire { resource }));
        }
    }

    fn some_time(&mut self) -> i64 {
        self.whims.between(START + 5_000, self.people.ends_at)
    }

    fn happens(&mut self, fault: Fault) -> bool {
        let rate = self.plan.rate(fault);
        self.whims.chance(rate)
    }
}

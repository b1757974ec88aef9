//! The run's only source of chance: one seed, the same run.

/// Dice with a seed.
#[derive(Clone)]
pub struct Dice(fastrand::Rng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Dice of their own, so that one part of a run does not change what another part throws.
    pub fn fork(&mut self) -> Self {
        Self::new(self.0.u64(..))
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.0.f64() < probability
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: i64, most: i64) -> i64 {
        self.0.i64(least..=most.max(least))
    }

    /// A number from `least` to `most`; small ones are as likely as large ones.
    pub fn about(&mut self, least: i64, most: i64) -> i64 {
        let (least, most) = ((least.max(1) as f64).ln(), (most.max(1) as f64).ln());
        (least + (most - least) * self.0.f64()).exp() as i64
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.0.usize(..list.len())]
    }

    /// Random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}

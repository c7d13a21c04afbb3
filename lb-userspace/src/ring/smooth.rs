//! Smooth weighted round-robin.
//!
//! The order is that of nginx (commit 52327e0627f4, 2012): in each turn every server gains its
//! weight in credit, the richest is taken and pays the sum of all weights. One rule is added: no
//! server comes twice in a row, the step from the ring's end to its start included, as long as
//! there is another way. (`a:2 b:1 c:1` is `a b c a` with nginx, which repeats as `a a`.)

use super::{Share, ordered};

/// Longest ring, unless there are more servers than that.
pub const MAX_LEN: usize = 4096;

/// A ring in which each server has as many slots as its weight, after division by what all weights
/// have in common.
///
/// Where that would be longer than [`MAX_LEN`] (never with 16 servers or fewer, as weights end at
/// 256), weights are scaled down to that length, none below one slot: shares are then exact to one
/// slot in 4096.
pub fn smooth_round_robin<T: Copy + Ord>(shares: &[Share<T>]) -> Vec<T> {
    let shares = ordered(shares);
    let weights: Vec<u64> = shares.iter().map(|s| u64::from(s.weight)).collect();
    let weights = scaled(&weights);
    order(&weights)
        .into_iter()
        .map(|server| shares[server].value)
        .collect()
}

/// Weights without their common divisor, scaled down to a sum of at most [`MAX_LEN`].
fn scaled(weights: &[u64]) -> Vec<u64> {
    let Some(divisor) = weights.iter().copied().reduce(greatest_common_divisor) else {
        return Vec::new();
    };
    let total = weights.iter().sum::<u64>();
    let room = MAX_LEN as u64;
    if total / divisor <= room {
        return weights.iter().map(|weight| weight / divisor).collect();
    }
    let mut scaled: Vec<u64> = weights
        .iter()
        .map(|weight| (weight * room / total).max(1))
        .collect();
    // Those that were lifted to one slot may have made it too long: the largest give way.
    let mut excess = scaled.iter().sum::<u64>().saturating_sub(room);
    while excess > 0 {
        let Some(largest) = scaled.iter_mut().max().filter(|largest| **largest > 1) else {
            break;
        };
        *largest -= 1;
        excess -= 1;
    }
    // Rounding down leaves some slots over: they go to those that lost most by it.
    let used = scaled.iter().sum::<u64>();
    let mut by_loss: Vec<usize> = (0..weights.len()).collect();
    by_loss.sort_by_key(|&i| scaled[i] as i64 * total as i64 - (weights[i] * room) as i64);
    for i in by_loss.into_iter().take(room.saturating_sub(used) as usize) {
        scaled[i] += 1;
    }
    scaled
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// The turns of one round, as indices into `weights`, none of which is zero.
fn order(weights: &[u64]) -> Vec<usize> {
    let total = weights.iter().sum::<u64>();
    let mut turns = Turns {
        credit: vec![0; weights.len()],
        left: weights.to_vec(),
        total_left: total,
        taken: Vec::with_capacity(total as usize),
    };
    while turns.total_left > 0 {
        for (credit, weight) in turns.credit.iter_mut().zip(weights) {
            *credit += *weight as i64;
        }
        let server = turns.richest();
        turns.credit[server] -= total as i64;
        turns.left[server] -= 1;
        turns.total_left -= 1;
        turns.taken.push(server);
    }
    turns.taken
}

struct Turns {
    credit: Vec<i64>,
    left: Vec<u64>,
    total_left: u64,
    taken: Vec<usize>,
}

impl Turns {
    /// The server with most credit (the first of several) whose turn leaves a rest that can be
    /// ordered without repeats; else, where repeats cannot be avoided, the one with most credit.
    fn richest(&self) -> usize {
        let mut candidates: Vec<usize> =
            (0..self.left.len()).filter(|&i| self.left[i] > 0).collect();
        let richest = |of: &[usize]| {
            of.iter()
                .copied()
                .max_by_key(|&i| (self.credit[i], usize::MAX - i))
        };
        let fallback = richest(&candidates).unwrap_or_default();
        candidates.retain(|i| Some(i) != self.taken.last());
        while let Some(server) = richest(&candidates) {
            if self.leaves_an_order(server) {
                return server;
            }
            candidates.retain(|&i| i != server);
        }
        fallback
    }

    /// Whether, after a turn of `server`, the turns left can be put in an order in which nobody
    /// follows itself, starting after `server` and ending before the ring's first.
    ///
    /// Of n places in a row, one server can take every other: n / 2, rounded up. It has one end
    /// less to use for each of the two neighbours that is itself.
    fn leaves_an_order(&self, server: usize) -> bool {
        let first = self.taken.first().copied().unwrap_or(server);
        let places = self.total_left - 1;
        if places == 0 {
            return server != first || self.taken.is_empty();
        }
        self.left.iter().enumerate().all(|(i, &left)| {
            let left = left - u64::from(i == server);
            let taken_ends = u64::from(i == server) + u64::from(i == first);
            left <= (places + 1 - taken_ends) / 2
        })
    }
}

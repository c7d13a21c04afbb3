//! Threads that go on one at a time, in an order that a seed decides.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::vec;
use std::vec::Vec;

/// Whose turn it is.
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    running: Vec<bool>,
    turn: usize,
    random: u64,
}

/// Ends a thread's part when it is dropped, also by a panic.
pub(super) struct Part<'a>(&'a Turns, usize);

impl Turns {
    pub(super) fn new(threads: usize, seed: u64) -> Self {
        let mut state = State {
            running: vec![true; threads],
            turn: 0,
            random: (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        state.next();
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Waits for the first turn.
    pub(super) fn join(&self, thread: usize) -> Part<'_> {
        self.wait(self.lock(), thread);
        Part(self, thread)
    }

    /// Gives the turn to anyone and waits until it is back.
    pub(super) fn step(&self, thread: usize) {
        let mut state = self.lock();
        state.next();
        if state.turn != thread {
            self.changed.notify_all();
            self.wait(state, thread);
        }
    }

    fn wait(&self, mut state: MutexGuard<'_, State>, thread: usize) {
        while state.turn != thread {
            state = self
                .changed
                .wait(state)
                .expect("no thread panics with the lock");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with the lock")
    }
}

impl State {
    fn next(&mut self) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        // Mostly on with the same one: what goes wrong takes long stretches of one thread.
        if self.running[self.turn] && (self.random >> 20) & 3 != 0 {
            return;
        }
        let running = self
            .running
            .iter()
            .enumerate()
            .filter(|(_, running)| **running);
        let running: Vec<usize> = running.map(|(thread, _)| thread).collect();
        if !running.is_empty() {
            self.turn = running[(self.random >> 32) as usize % running.len()];
        }
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.running[self.1] = false;
        state.next();
        self.0.changed.notify_all();
    }
}

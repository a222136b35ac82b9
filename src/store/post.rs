//! The way to the reactor: a bounded channel and the bell that makes it look.

use crate::mailbox::FromStore;
use crossbeam_channel::{Sender, TrySendError};

/// Where a thread of the store puts its answers.
pub(super) struct Post {
    to_reactor: Sender<FromStore>,
    wake: Box<dyn Fn() + Send>,
}

impl Post {
    /// Sends into `to_reactor`; `wake` makes the reactor empty it.
    pub fn new(to_reactor: Sender<FromStore>, wake: impl Fn() + Send + 'static) -> Self {
        Self { to_reactor, wake: Box::new(wake) }
    }

    /// Puts mail in. When the channel is full the bell is rung before waiting for room: mail that was put in but not
    /// rung for would wait forever. Mail to a reactor that is gone is dropped.
    pub fn put(&self, mail: FromStore) {
        if let Err(TrySendError::Full(mail)) = self.to_reactor.try_send(mail) {
            (self.wake)();
            let _ = self.to_reactor.send(mail);
        }
    }

    /// Rings the bell for what was put in.
    pub fn ring(&self) {
        (self.wake)();
    }
}

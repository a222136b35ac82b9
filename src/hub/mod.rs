//! The thread that tells the hub what users have moved (accounts, sections 6 and 7).
//!
//! It holds at most one batch, which is on disk already, and sends it until the hub has answered; what an answer means
//! for the batch is written down by the store's writer, from which the next batch comes. It waits for nobody else, and
//! nobody waits for it. Without HUB_URL it is not started.

mod request;
mod schedule;

pub use request::Format;
pub use schedule::Schedule;

use crate::base::Rng;
use crate::mailbox::{FromHub, HubVerdict, ToHub, ToWriter, UsageBatch};
use crossbeam_channel::{Receiver, Sender, at, bounded, never, select};
use request::{Client, Reply};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the hub is and how it is spoken to.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its base URL, http or https, without a slash at the end.
    pub url: String,
    /// What proves to it that we are the tracker (REGISTRY_KEY).
    pub key: Option<Vec<u8>>,
    /// The shape of what it is sent.
    pub format: Format,
    /// Our version, for `User-Agent`.
    pub version: &'static str,
}

/// The settings of the moment; `None`: there is no hub, and nothing is sent.
pub type Shared = Arc<RwLock<Option<Settings>>>;

/// The other end of the thread.
pub struct Hub {
    nudge: Sender<()>,
}

impl Hub {
    /// Starts it. Its mail goes to the store's writer, whose batches come by `batches`; it ends with the writer.
    pub fn start(settings: Shared, seed: u64, to_writer: Sender<ToWriter>, batches: Receiver<ToHub>) -> Self {
        let (nudge, nudges) = bounded(1);
        let begun = Instant::now();
        let teller = Teller {
            settings,
            to_writer,
            batches,
            nudges,
            client: None,
            schedule: Schedule::new(Rng::new(seed)),
            batch: None,
            is_last: false,
            begun,
            try_rejected: begun + TRY_REJECTED,
        };
        let thread = thread::Builder::new().name("hub".to_owned()).spawn(|| drop(teller.run()));
        thread.expect("the system lets the process have one more thread");
        Self { nudge }
    }

    /// The settings have changed, or the hub may have been mended: try now (SIGHUP).
    pub fn look_now(&self) {
        let _ = self.nudge.try_send(());
    }
}

/// The thread's own.
struct Teller {
    settings: Shared,
    to_writer: Sender<ToWriter>,
    batches: Receiver<ToHub>,
    nudges: Receiver<()>,
    /// Made when it is first needed, and again after the settings have changed.
    client: Option<Client>,
    schedule: Schedule,
    batch: Option<UsageBatch>,
    /// The daemon ends: nothing is tried twice.
    is_last: bool,
    begun: Instant,
    /// When rejected batches are to be tried again.
    try_rejected: Instant,
}

/// The writer is gone, and so is the daemon.
struct Gone;

impl Teller {
    fn run(mut self) -> Result<(), Gone> {
        self.look_at_settings()?;
        loop {
            let timer = self.due().map_or_else(never, at);
            select! {
                recv(self.batches) -> mail => self.take(mail.map_err(|_| Gone)?)?,
                recv(self.nudges) -> nudge => match nudge {
                    Ok(()) => self.look_at_settings()?,
                    Err(_) => self.nudges = never(),
                },
                recv(timer) -> _ => {}
            }
            let now = Instant::now();
            if self.is_on() && now >= self.try_rejected {
                self.try_rejected = now + TRY_REJECTED;
                self.say(FromHub::TryRejected)?;
            }
            if self.is_on() && self.batch.is_some() && self.now_ms() >= self.schedule.next() {
                self.send()?;
            }
        }
    }

    fn take(&mut self, mail: ToHub) -> Result<(), Gone> {
        match mail {
            ToHub::Batch(batch) => self.batch = Some(batch),
            ToHub::Last => {
                self.is_last = true;
                // A batch may just have been answered; the writer knows.
                if self.schedule.is_forbidden() || !self.is_on() {
                    return self.say(FromHub::NotNow);
                }
                self.schedule.try_now();
            }
        }
        Ok(())
    }

    /// At start and on SIGHUP: whatever was in the way may be mended.
    fn look_at_settings(&mut self) -> Result<(), Gone> {
        self.client = None;
        self.schedule.try_now();
        let is_on = self.is_on();
        self.try_rejected = Instant::now() + TRY_REJECTED;
        self.say(FromHub::On(is_on))
    }

    /// One request, and what it came to.
    fn send(&mut self) -> Result<(), Gone> {
        let Some(batch) = &self.batch else { return Ok(()) };
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(settings) = settings else { return Ok(()) };
        let client = self.client.get_or_insert_with(|| Client::new(&settings));
        let reply = client.send(&settings, batch);
        let verdict = reply.verdict();
        let (sync_id, status) = (batch.sync_id.clone(), reply.status());
        let is_kept = matches!(verdict, HubVerdict::Retry | HubVerdict::Forbidden) && !batch.is_rejected;
        if !is_kept {
            self.batch = None;
        }
        self.log(&reply, &sync_id);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let now = self.now_ms();
        self.schedule.answered(now, verdict, reply.retry_after_s(at));
        if self.is_last && is_kept {
            // Told below; there will be no second try.
            self.schedule.forbid_for_good();
        }
        self.say(FromHub::Answered { sync_id, verdict, status, at })
    }

    /// One line a minute while it goes on, one when it is over.
    fn log(&mut self, reply: &Reply, sync_id: &str) {
        let now = self.now_ms();
        match reply.verdict() {
            HubVerdict::Applied if self.schedule.is_troubled() => log::info!("hub: it takes batches again"),
            HubVerdict::Applied => {}
            HubVerdict::Forbidden if self.schedule.is_forbidden() => {}
            HubVerdict::Forbidden => {
                log::error!(
                    "hub: it does not take our key (REGISTRY_KEY, status 403): nothing is lost, but nothing is sent"
                );
            }
            HubVerdict::Rejected => {
                let status = reply.status();
                log::error!(
                    "hub: batch {sync_id} was rejected with status {status}; it is kept and tried every hour"
                );
            }
            HubVerdict::Retry if self.schedule.may_warn(now) => {
                log::warn!("hub: {reply}; batch {sync_id} is kept and will be sent again");
            }
            HubVerdict::Retry => {}
        }
    }

    fn say(&self, mail: FromHub) -> Result<(), Gone> {
        self.to_writer.send(ToWriter::Hub(mail)).map_err(|_| Gone)
    }

    fn is_on(&self) -> bool {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// When there is something to do without any mail.
    fn due(&self) -> Option<Instant> {
        if !self.is_on() {
            return None;
        }
        let next = self.begun + Duration::from_millis(self.schedule.next());
        Some(if self.batch.is_some() { next.min(self.try_rejected) } else { self.try_rejected })
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }
}

/// How often rejected batches are tried again.
const TRY_REJECTED: Duration = Duration::from_secs(3600);

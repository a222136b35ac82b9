//! Whether a server sends more than it announced. The HTTP client stops reading at the announced length, so the connection
//! is watched from below: asked to close behind the body, a server that sends anything else was wrong about the length.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use ureq::Timeout;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};

/// How long a server may take to close.
const PATIENCE: Duration = Duration::from_secs(1);

/// What became of the connections of one client. Requests must say `Connection: close`.
#[derive(Clone, Debug, Default)]
pub struct Overrun(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// How many connections there were: redirects have some of their own.
    opened: AtomicU64,
    /// The last one of them that brought more than its answer; 0 for none.
    overran: AtomicU64,
}

impl Overrun {
    /// A client like `agent` whose connections are watched.
    pub fn watch(agent: &ureq::Agent) -> (ureq::Agent, Self) {
        let overrun = Self::default();
        let connector = DefaultConnector::new().chain(overrun.clone());
        (ureq::Agent::with_parts(agent.config().clone(), connector, DefaultResolver::default()), overrun)
    }

    /// Whether the last connection brought more than its answer. Known once the body has been read to its end.
    pub fn happened(&self) -> bool {
        let opened = self.0.opened.load(Ordering::Acquire);
        opened > 0 && self.0.overran.load(Ordering::Acquire) == opened
    }
}

impl<In: Transport> Connector<In> for Overrun {
    type Out = Watched<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        Ok(chained.map(|inner| {
            let number = self.0.opened.fetch_add(1, Ordering::AcqRel) + 1;
            Watched { inner, number, seen: Arc::clone(&self.0) }
        }))
    }
}

/// A connection that is looked at once more when it is done with.
#[derive(Debug)]
pub struct Watched<T: Transport> {
    inner: T,
    number: u64,
    seen: Arc<Seen>,
}

impl<T: Transport> Transport for Watched<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

impl<T: Transport> Drop for Watched<T> {
    fn drop(&mut self) {
        if self.inner.buffers().input().is_empty() {
            let timeout =
                NextTimeout { after: PATIENCE.into(), reason: Timeout::RecvBody, ..NextTimeout::default() };
            // An error is an end as well: the body is there.
            let _ = self.inner.await_input(timeout);
        }
        if !self.inner.buffers().input().is_empty() {
            self.seen.overran.fetch_max(self.number, Ordering::AcqRel);
        }
    }
}

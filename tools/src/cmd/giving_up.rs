//! Why a transfer is given up when nobody is left to ask, in words for people.

use crate::announce::status::Status;
use crate::announce::{Announcer, Problem};
use crate::failure::{Class, Failure, shown_foreign};
use crate::peer::swarm::Swarm;
use crate::report::percent;
use weightless::base::Millis;

/// The failure of a transfer that knows no peer, and no tracker to hear of one from.
pub fn nobody_to_ask(announcer: &Announcer) -> Option<Failure> {
    if announcer.status().next().is_some() {
        return no_tracker(announcer);
    }
    let failure = Failure::new(Class::Network, "no peers: no tracker is named");
    Some(failure.hint("name one with --tracker, or a peer with --peer"))
}

/// The failure of a transfer whose trackers have all failed.
pub fn no_tracker(announcer: &Announcer) -> Option<Failure> {
    if !announcer.has_failed_everywhere() {
        return None;
    }
    let problems: Vec<Status<'_>> = announcer.status().collect();
    let refusal = problems.iter().find_map(|status| match status.problem {
        Some(Problem::Refused { reason, .. }) => Some(reason),
        _ => None,
    });
    if let Some(reason) = refusal {
        return Some(Failure::new(Class::Refused, format!("tracker refused: {}", shown_foreign(reason))));
    }
    let lines: Vec<String> = problems
        .iter()
        .map(|status| {
            format!(
                "{}: {}",
                shown_foreign(&crate::tracker::without_passkey(status.url)),
                why(status.problem)
            )
        })
        .collect();
    Some(Failure::new(Class::Network, format!("no tracker answered: {}", lines.join("; "))))
}

fn why(problem: Option<&Problem>) -> String {
    match problem {
        Some(Problem::Refused { reason, .. }) => shown_foreign(reason),
        Some(Problem::Failed(why) | Problem::Unusable(why)) => shown_foreign(why),
        None => "no answer yet".into(),
    }
}

/// The failure of a transfer for which nobody was found.
pub fn timed_out(swarm: &Swarm, idle: Millis) -> Failure {
    let seconds = idle / 1000;
    if swarm.ledger().is_none() {
        let (tried, last) = swarm.metadata_tried();
        let reason = last.unwrap_or("no peers found");
        return Failure::new(
            Class::Network,
            format!("no peer served the metadata ({tried} tried): {reason}"),
        );
    }
    let (done, total) = swarm.bytes();
    let percent = percent(done, total);
    let what = if swarm.totals().peers == 0 { "no peers found after" } else { "no progress for" };
    Failure::new(
        Class::Network,
        format!("{what} {seconds} s; {percent} % complete, run the same command to resume"),
    )
}

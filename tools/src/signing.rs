//! What is said and demanded of signatures: the words for each state, and the policies of `verify` and `get`.

use crate::Context;
use crate::failure::{Class, Failure};
use crate::flags::{Flag, many, switch};
use crate::tracker::Tracker;
use crate::{key, registry};
use serde_json::{Value, json};
use weightless::base::InfoHashes;
use weightless::torrent::Metainfo;
use weightless::torrent::signature::{PublicKey, Signature};
use weightless::torrent::signatures::{Judged, SIGNATURES_MAX, Signatures};

/// `--require-key`.
pub const REQUIRE_KEY: Flag =
    many("require-key", "KEY", "a publisher that must have signed: 64 hex digits or a key file");
/// `--require-signature`.
pub const REQUIRE_SIGNATURE: Flag = switch("require-signature", "some publisher must have signed");

/// What a person demands of the signatures.
#[derive(Default)]
pub struct Policy {
    /// `--require-key`.
    pub keys: Vec<PublicKey>,
    /// `--require-signature`.
    pub any: bool,
    /// A key in hex that the operator of a tracker vouches for, and that tracker.
    confirmed: Option<(String, String)>,
}

impl Policy {
    /// Reads the flags.
    pub fn read(context: &Context) -> Result<Self, Failure> {
        let keys = context.args.all(REQUIRE_KEY.name)?;
        let keys = keys.iter().map(|key| key::public(context, key)).collect::<Result<_, _>>()?;
        Ok(Self { keys, any: context.args.on("require-signature"), confirmed: None })
    }

    /// The required keys that have not signed.
    pub fn missing<'p>(&'p self, judged: &'p [Judged]) -> impl Iterator<Item = &'p PublicKey> {
        self.keys.iter().filter(|key| !judged.iter().any(|judged| is_by(judged, key)))
    }

    /// The judgement before a download: one of the required keys is enough. `judged` holds the objects of the torrent
    /// and what [`of_entry`] made of the registry's entry.
    pub fn admit(&self, judged: &[Judged]) -> Result<(), Failure> {
        let valid = judged.iter().any(|judged| judged.verdict.is_ok());
        let required = self.keys.is_empty() || self.keys.len() > self.missing(judged).count();
        match (required, valid || !self.any) {
            (true, true) => Ok(()),
            (false, _) => Err(Failure::new(Class::Verification, "no valid signature by a required key")),
            (true, false) => Err(Failure::new(Class::Verification, "no valid signature")),
        }
    }

    /// The state of one signature in words.
    pub fn words(&self, judged: &Judged, hashes: &InfoHashes) -> String {
        let signature = match judged.verdict {
            Ok(signature) => signature,
            Err(reason) => {
                let by = judged.key.map(|key| format!(" (key {})", hex(&key))).unwrap_or_default();
                return format!("INVALID signature: {reason}{by}");
            }
        };
        let key = signature.key_hex();
        let weak = if hashes.v2().is_none() { "; weak: SHA-1 only" } else { "" };
        if self.keys.iter().any(|required| is_by(judged, required)) {
            return format!("signed by the required key {}...{weak}", key.get(..16).unwrap_or(&key));
        }
        match self.confirming(&key) {
            Some(tracker) => {
                format!("signed by key {key}; publisher confirmed by the operator of {tracker}{weak}")
            }
            None => format!("signed by key {key} (identity not checked){weak}"),
        }
    }

    /// The tracker whose operator vouches for a key.
    fn confirming(&self, key: &str) -> Option<&str> {
        self.confirmed.as_ref().filter(|(confirmed, _)| confirmed == key).map(|(_, tracker)| tracker.as_str())
    }

    /// The signatures of a torrent, and of the registry's entry if it was found there; the entry also tells whether the
    /// operator vouches for its key. An entry that cannot be had is a warning.
    pub fn judge(
        &mut self,
        context: &Context,
        metainfo: &Metainfo,
        registry: Option<&Tracker>,
    ) -> Signatures {
        let hashes = metainfo.hashes();
        let mut signatures = metainfo.signatures();
        warn(context, &signatures);
        let Some(tracker) = registry else { return signatures };
        let entry = match registry::entry(context, tracker, &hashes.best_hex()) {
            Ok(entry) => entry,
            Err(failure) => {
                context
                    .voice
                    .warn(&format!("{}; only the torrent's signatures were looked at", failure.message));
                return signatures;
            }
        };
        let Some(judged) = of_entry(&entry, &hashes) else { return signatures };
        if let (Ok(signature), Some(true)) = (judged.verdict, entry.get("verified").and_then(Value::as_bool))
        {
            self.confirmed = Some((signature.key_hex(), tracker.base.clone()));
        }
        if !signatures.judged.iter().any(|known| known.key == judged.key) {
            signatures.judged.push(judged);
        }
        signatures
    }
}

fn is_by(judged: &Judged, key: &PublicKey) -> bool {
    judged.verdict.is_ok_and(|signature| signature.key == key.bytes())
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// Judges the two fields of a registry's entry; `None` if it is not signed.
pub fn of_entry(entry: &Value, hashes: &InfoHashes) -> Option<Judged> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (key, signature) = (text("publisher_key")?, text("signature")?);
    let signature = Signature::from_hex(key.as_bytes(), signature.as_bytes());
    let malformed = Judged { key: None, verdict: Err(weightless::torrent::signature::Invalid::Malformed) };
    Some(signature.map_or(malformed, |signature| signature.judge(hashes)))
}

/// `none`, `valid` or `invalid`, and the keys that signed: for `--json`.
pub fn summary(judged: &[Judged]) -> (&'static str, Vec<String>) {
    let keys: Vec<String> = judged.iter().filter_map(|judged| Some(judged.verdict.ok()?.key_hex())).collect();
    let state = match (judged.is_empty(), keys.is_empty()) {
        (true, _) => "none",
        (false, true) => "invalid",
        (false, false) => "valid",
    };
    (state, keys)
}

/// A signature as an object for programs: the four keys of the torrent's object.
pub fn object(signature: &Signature) -> Value {
    json!({"alg": "ed25519", "pub": signature.key_hex(), "sig": signature.hex(), "v": 1})
}

/// Every signature of a torrent as objects for programs: valid ones with the four keys, others with their reason.
pub fn objects(policy: &Policy, found: &Signatures) -> Vec<Value> {
    let one = |judged: &Judged| match judged.verdict {
        Ok(signature) => {
            let mut object = object(&signature);
            object["valid"] = true.into();
            if let Some(tracker) = policy.confirming(&signature.key_hex()) {
                object["confirmed_by"] = tracker.into();
            }
            object
        }
        Err(reason) => json!({
            "pub": judged.key.map(|key| hex(&key)), "valid": false, "reason": reason.text(),
        }),
    };
    found.judged.iter().map(one).collect()
}

/// Says what is odd about the list.
pub fn warn(context: &Context, found: &Signatures) {
    if found.not_a_list {
        context.voice.warn("signatures is not a list; the torrent counts as not signed");
    }
    if found.ignored > 0 {
        let count = found.ignored;
        context
            .voice
            .warn(&format!("{count} signatures behind the first {SIGNATURES_MAX} were not looked at"));
    }
}

//! Every vector of the signing specification (section 6), the list in a torrent, and its bounds.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use weightless::base::{InfoHashes, V1Hash, V2Hash};
use weightless::torrent::signature::{Invalid, PublicKey, SecretKey, Signature};
use weightless::torrent::signatures::{self, SIGNATURES_MAX};
use weightless::wire::bencode::{self, Form, Limits, Writer};

const KEY_A: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
const KEY_B: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const SEED_B: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const H1: &str = "efb5faac75b001de8b0472d25a0681503dde90f0";
const H2: &str = "e331e866830976d21f48440f768fb41ff850ebb5891eff2259455511a7ad47e7";
const T1: &str = "bde9c106005f6a98b6aa3ca177f9ab4efd450bac";
const T2: &str = "2348655132727c098afe3e654bd33702bbaa19feb8ffc40c240d85f8d7516e55";

const H_A: &str = "22ab78f140ff91122ffba36a057e2205a58e55c3f9fb754f7c8c84889a03a2ac\
                   e7c66605178fbec51db4df245e91825ff9c3ab75b43e9e79fed3674ef48a6b0b";
const T1_A: &str = "5b0f212d6d7c824aa8bf20588988d002d4f9ac635d6293873e94816c2e1eed71\
                    17b8f7f0b032d487c8ad77aacbf4442cf631c6437a12eecbdd8b2b382e8b8d03";
const T2_A: &str = "25953915c2da1af43fa076e8c7d762794ff7434eb26cb1eb4d47976f704d4739\
                    a22551fa1a1c3894be816ed0ae000472979b0b8227de776b83c118f5f487340e";
const H_B: &str = "6b24bd55229c0511cadc19e32413b573294de59d89722075e35819a35ac22ecd\
                   9fe3b2261de608562f46b8620cbcd6033b1236a6fd8bb4a086fba7a36af28f07";
const VERSION_2: &str = "5102617846c19e93979da5d23aa0210f1ea61b881b61a0d1ef7a4836d8a300ec\
                         63a1aa5d75d589f3b1373a6bdfe2d96f4ebc235a79ba83f127e9a4e9071d5005";
const WITH_SEQ: &str = "5933974c67f7d23408553818358d69a91560a35e9a2b764d65c858ca8eb93e79\
                        f3aaac947b78e1b3631834bddfa291f482b613ddb6eef9f6e2bd6eae0aedff04";
const WITHOUT_PREFIX: &str = "90bdd62f275cbba566620b78e960201da5221dd2255660cee1d8ed2a049ead8a\
                              b1d25573b7c3d231ef7245b385bb7df2368d292389a2409ced3a1ccec62f620f";
const S_PLUS_L: &str = "22ab78f140ff91122ffba36a057e2205a58e55c3f9fb754f7c8c84889a03a2ac\
                        d49a5c6231f2d01df450d7c73c8b6174f9c3ab75b43e9e79fed3674ef48a6b1b";

fn v1(hex: &str) -> V1Hash {
    V1Hash::from_hex(hex.as_bytes()).expect("40 digits")
}

fn v2(hex: &str) -> V2Hash {
    V2Hash::from_hex(hex.as_bytes()).expect("64 digits")
}

fn hybrid() -> InfoHashes {
    InfoHashes::Hybrid(v1(H1), v2(H2))
}

fn key_a() -> SecretKey {
    SecretKey::from_seed(&std::array::from_fn(|i| i as u8))
}

fn signature(key: &str, hex: &str) -> Signature {
    Signature::from_hex(key.as_bytes(), hex.as_bytes()).expect("hex")
}

#[test]
fn signing_gives_the_specified_bytes() {
    let key_b = SecretKey::from_seed(&HEXLOWER.decode(SEED_B.as_bytes()).unwrap().try_into().unwrap());
    for (key, public, hashes, expected) in [
        (key_a(), KEY_A, hybrid(), H_A),
        (key_a(), KEY_A, InfoHashes::V1(v1(T1)), T1_A),
        (key_a(), KEY_A, InfoHashes::V2(v2(T2)), T2_A),
        (key_b, KEY_B, hybrid(), H_B),
    ] {
        assert_eq!(key.public().to_string(), public);
        let made = key.sign(&hashes);
        assert_eq!(made, signature(public, expected));
        assert_eq!(made.verify(&hashes), Ok(()));
    }
}

#[test]
fn what_must_not_pass_does_not() {
    let broken = |hex: &str, with: &str| format!("{with}{}", &hex[2..]);
    let weak = (format!("01{}", "00".repeat(31)), format!("01{}", "00".repeat(63)));
    let off_curve = "02".to_string() + &"00".repeat(31);
    let non_canonical = format!("ee{}7f", "ff".repeat(30));
    for (why, key, hex, hashes, reason) in [
        ("btih", KEY_A, H_A, InfoHashes::Hybrid(v1(&broken(H1, "ee")), v2(H2)), Invalid::Mismatch),
        ("btmh", KEY_A, H_A, InfoHashes::Hybrid(v1(H1), v2(&broken(H2, "e2"))), Invalid::Mismatch),
        ("another key", KEY_B, H_A, hybrid(), Invalid::Mismatch),
        ("version 2", KEY_A, VERSION_2, hybrid(), Invalid::Mismatch),
        ("extra key", KEY_A, WITH_SEQ, hybrid(), Invalid::Mismatch),
        ("no prefix", KEY_A, WITHOUT_PREFIX, hybrid(), Invalid::Mismatch),
        ("as v1", KEY_A, H_A, InfoHashes::V1(v1(H1)), Invalid::Mismatch),
        ("as v2", KEY_A, H_A, InfoHashes::V2(v2(H2)), Invalid::Mismatch),
        ("S + L", KEY_A, S_PLUS_L, hybrid(), Invalid::Malformed),
        ("weak key", &weak.0, &weak.1, hybrid(), Invalid::WeakKey),
        ("no point", &off_curve, H_A, hybrid(), Invalid::WeakKey),
        ("two encodings", &non_canonical, H_A, hybrid(), Invalid::WeakKey),
        ("R is no point", KEY_A, &(off_curve.clone() + &H_A[64..]), hybrid(), Invalid::Malformed),
        ("R in another encoding", KEY_A, &(non_canonical.clone() + &H_A[64..]), hybrid(), Invalid::Malformed),
        ("R of small order", KEY_A, &(weak.0.clone() + &H_A[64..]), hybrid(), Invalid::Mismatch),
    ] {
        assert_eq!(signature(key, hex).verify(&hashes), Err(reason), "{why}");
    }
    assert!(Signature::from_hex(KEY_A.as_bytes(), &H_A.as_bytes()[..126]).is_none());
    assert!(PublicKey::from_hex(&KEY_A.as_bytes()[..62]).is_none());
    assert_eq!(PublicKey::from_hex(weak.0.as_bytes()), Some(Err(Invalid::WeakKey)));
}

/// Every point of small order, in every encoding, is refused as a key; so is every y past the prime.
#[test]
fn keys_that_sign_everything_are_refused() {
    let y8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
    let y8_negative = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
    let mut keys: Vec<[u8; 32]> = vec![[0; 32]];
    let small = |low: u8| std::array::from_fn(|i| if i == 0 { low } else { 0 });
    let large =
        |low: u8| std::array::from_fn(|i| [low, 0xff, 0x7f][usize::from(i > 0) + usize::from(i > 30)]);
    keys.push(small(1));
    keys.extend((0xec..=0xff).map(large));
    for hex in [y8, y8_negative] {
        keys.push(HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap());
    }
    for mut key in keys {
        for sign in [0, 0x80] {
            key[31] = key[31] & 0x7f | sign;
            assert_eq!(PublicKey::new(&key), Err(Invalid::WeakKey), "{}", HEXLOWER.encode(&key));
        }
    }
}

fn object(alg: &str, key: &[u8], sig: &[u8], version: &str, more: &str) -> Vec<u8> {
    let mut out = Writer::new();
    out.dict().bytes(b"alg").bytes(alg.as_bytes()).bytes(b"pub").bytes(key).bytes(b"sig").bytes(sig);
    out.bytes(b"v").raw(version.as_bytes()).raw(more.as_bytes()).end();
    out.finish()
}

#[test]
fn objects_are_judged_one_by_one() {
    let (key, sig) = (key_a().public().bytes(), key_a().sign(&hybrid()).bytes);
    let good = object("ed25519", &key, &sig, "i1e", "");
    assert_eq!(good.len(), 134);
    let cases: [(Vec<u8>, Option<Invalid>); 10] = [
        (good.clone(), None),
        (object("ed25519", &key, &sig, "i2e", ""), Some(Invalid::UnknownVersion)),
        (object("rsa", &key, &sig, "i1e", ""), Some(Invalid::UnknownVersion)),
        (object("ed25519", &key, &sig[..63], "i1e", ""), Some(Invalid::Malformed)),
        (object("ed25519", &key[..31], &sig, "i1e", ""), Some(Invalid::Malformed)),
        (object("ed25519", &key, &sig, "1:1", ""), Some(Invalid::Malformed)),
        (object("ed25519", &key, &sig, "i1e", "1:xi1e"), Some(Invalid::Malformed)),
        (b"de".to_vec(), Some(Invalid::Malformed)),
        (b"i1e".to_vec(), Some(Invalid::Malformed)),
        (good, None),
    ];
    let list = [b"l", cases.iter().map(|case| case.0.clone()).collect::<Vec<_>>().concat().as_slice(), b"e"]
        .concat();
    let found = signatures::judge(Some(&list), &hybrid());
    let verdicts: Vec<_> = found.judged.iter().map(|judged| judged.verdict.err()).collect();
    assert_eq!(verdicts, cases.map(|case| case.1));
    assert_eq!((found.ignored, found.not_a_list), (0, false));
    assert_eq!(found.judged[1].key, Some(key));
    assert_eq!(found.judged[4].key, None);
}

#[test]
fn sixteen_are_read_and_the_rest_counted() {
    for count in [SIGNATURES_MAX, SIGNATURES_MAX + 1, 1000] {
        let list = format!("l{}e", "de".repeat(count));
        let found = signatures::judge(Some(list.as_bytes()), &hybrid());
        assert_eq!((found.judged.len(), found.ignored), (SIGNATURES_MAX, count - SIGNATURES_MAX));
    }
    assert!(signatures::judge(Some(b"i1e"), &hybrid()).not_a_list);
    assert_eq!(signatures::judge(None, &hybrid()), signatures::Signatures::default());
}

#[test]
fn a_signature_is_added_in_its_place_and_nothing_else_moves() {
    let of = |seed: u8| SecretKey::from_seed(&[seed; 32]).sign(&hybrid());
    let info = "4:infod1:zi1e1:ai2ee";
    let plain = format!("d8:announce1:x{info}8:url-list1:ye");
    let mut signed = plain.clone().into_bytes();
    for seed in [3, 1, 2, 1] {
        signed = signatures::add(&signed, &of(seed)).expect("a torrent");
    }
    let top = bencode::parse(&signed, &Limits::TORRENT, Form::Tolerant).expect("bencode");
    let keys: Vec<_> =
        top.as_dict().unwrap().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect();
    assert_eq!(keys, ["announce", "info", "signatures", "url-list"]);
    let list = top.get(b"signatures").unwrap().raw();
    assert_eq!(list.len(), 2 + 3 * 134);
    let mut sorted = [1, 2, 3].map(|seed| of(seed).key);
    sorted.sort_unstable();
    let found = signatures::judge(Some(list), &hybrid());
    assert_eq!(found.judged.iter().map(|judged| judged.key.unwrap()).collect::<Vec<_>>(), sorted);
    assert!(found.judged.iter().all(|judged| judged.verdict.is_ok()));
    let around = format!("10:signatures{}", String::from_utf8_lossy(list));
    assert_eq!(String::from_utf8_lossy(&signed).replace(&around, ""), plain);
    // What is no list gives way; objects nobody can read stay.
    let odd = signatures::add(b"d4:infode10:signaturesi7ee", &of(1)).unwrap();
    assert_eq!(odd.len(), b"d4:infode10:signaturese".len() + 136);
    let kept = signatures::add(b"d4:infode10:signaturesld3:oddi1eeee", &of(1)).unwrap();
    assert!(kept.starts_with(b"d4:infode10:signaturesld3:oddi1eed3:alg"));
    assert!(signatures::add(b"le", &of(1)).is_err());
}

/// Every cut and every changed byte of a signed torrent: never a panic, and no change inside the object passes.
#[test]
fn damage_never_passes() {
    let torrent = signatures::add(b"d4:infode8:url-list1:ye", &key_a().sign(&hybrid())).unwrap();
    let start = torrent.windows(7).position(|window| window == b"ld3:alg").unwrap();
    let list = &torrent[start..start + 136];
    for cut in 0..list.len() {
        assert!(signatures::judge(Some(&list[..cut]), &hybrid()).not_a_list);
    }
    for at in 1..list.len() - 1 {
        let mut damaged = list.to_vec();
        damaged[at] ^= 1 << (at % 8);
        let found = signatures::judge(Some(&damaged), &hybrid());
        assert!(found.judged.iter().all(|judged| judged.verdict.is_err()), "byte {at}");
    }
    for at in 0..torrent.len() {
        let mut damaged = torrent.clone();
        damaged[at] ^= 0x55;
        drop(signatures::add(&damaged, &key_a().sign(&hybrid())));
        drop(signatures::add(&torrent[..at], &key_a().sign(&hybrid())));
    }
}

#[test]
fn a_signed_torrent_is_the_specified_file() {
    let root = weightless::torrent::merkle::leaf(&[0]);
    let mut info = Writer::new();
    info.dict().bytes(b"file tree").dict().bytes(b"f.bin").dict().bytes(b"").dict();
    info.bytes(b"length").int(1).bytes(b"pieces root").bytes(&root).end().end().end();
    info.bytes(b"length").int(1).bytes(b"meta version").int(2).bytes(b"name").bytes(b"f.bin");
    let sha1 = HEXLOWER.decode(b"5ba93c9db0cff93f52b521d7420e43f6eda2784f").unwrap();
    info.bytes(b"piece length").int(262_144).bytes(b"pieces").bytes(&sha1).end();
    let mut file = Writer::new();
    file.dict().bytes(b"info").raw(&info.finish()).bytes(b"piece layers").dict().end().end();
    let signed = signatures::add(&file.finish(), &key_a().sign(&hybrid())).unwrap();
    assert_eq!(signed.len(), 358);
    assert_eq!(
        HEXLOWER.encode(&Sha256::digest(&signed)),
        "c0dda86a9a8cf095827c8292aac96e3749fc3ddeee6012246d105b93bbd8c25f"
    );
    let read = weightless::torrent::Metainfo::read(&signed).unwrap();
    assert_eq!(read.hashes(), hybrid());
    assert_eq!(read.signatures().judged[0].verdict.map(|it| it.hex()), Ok(H_A.to_string()));
}

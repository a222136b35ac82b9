//! Every error the registry can answer, with the status and the text of the API page. One place, so that the texts
//! can be compared with the page and with each other.

use super::answer::ApiError;

macro_rules! errors {
    ($($name:ident = $status:literal $text:literal;)*) => {$(
        #[doc = concat!(stringify!($status), " `", $text, "`")]
        pub const $name: ApiError = ApiError::new($status, $text);
    )*};
}

errors! {
    INVALID_JSON = 400 "Invalid JSON body";
    MISSING_HASH_OR_NAME = 400 "Missing info_hash or name";
    INVALID_INFO_HASH_LENGTH = 400 "Invalid info_hash: must be 40 or 64 hex characters";
    INVALID_NAME = 400 "Invalid name: must be 1-255 bytes without control characters";
    INVALID_V1_INFO_HASH = 400 "Invalid v1_info_hash";
    INVALID_DESCRIPTION = 400 "Invalid description";
    INVALID_PUBLISHER = 400 "Invalid publisher";
    INVALID_LICENSE = 400 "Invalid license";
    INVALID_CATEGORY = 400 "Invalid category";
    INVALID_TAGS = 400 "Invalid tags";
    INVALID_SIZE = 400 "Invalid size";
    INVALID_TORRENT_DATA = 400 "Invalid torrent_data";
    NOT_A_TORRENT = 400 "torrent_data is not a valid torrent";
    NOT_AN_IDTORRENT = 400 "idt_data is not a valid idtorrent";
    TWO_FILES = 400 "torrent_data and idt_data exclude each other";
    SIGNATURE_NEEDS_TORRENT = 400 "signature needs a torrent";
    INVALID_PUBLISHER_KEY = 400 "Invalid publisher_key";
    INVALID_SIGNATURE = 400 "Invalid signature";
    KEY_WITHOUT_SIGNATURE = 400 "publisher_key and signature must come together";
    INVALID_INFO_HASH = 400 "Invalid info_hash";
    INVALID_REASON = 400 "Invalid reason";
    BLOCKED = 403 "info_hash is blocked";
    NOT_FOUND = 404 "Not found";
    TORRENT_NOT_FOUND = 404 "Torrent not found";
    NO_MAGNET = 404 "No magnet link for an idtorrent";
    NO_TORRENT_DATA = 404 "No torrent data available";
    HASH_TAKEN = 409 "hash already belongs to another entry";
    BODY_TOO_LARGE = 413 "Request body too large";
    HASH_MISMATCH = 422 "torrent_data does not match info_hash";
    IDT_HASH_MISMATCH = 422 "idt_data does not match info_hash";
    V1_HASH_MISMATCH = 422 "torrent_data does not match v1_info_hash";
    HYBRID_BY_V1_HASH = 422 "info_hash must be the v2 hash of a hybrid torrent";
    SIGNATURE_MISMATCH = 422 "signature does not match";
    WEAK_KEY = 422 "weak key";
    DATABASE_ERROR = 500 "Database error";
    INTERNAL_ERROR = 500 "Internal error";
    TORRENT_UNREADABLE = 500 "Error parsing torrent data";
    DATABASE_BUSY = 503 "Database busy";
    STORAGE_UNAVAILABLE = 503 "Storage unavailable";
}

//! Reading columns of a file we did not write: NULL is empty or 0, text that is not UTF-8 is shown as well as it can
//! be, and times come as seconds or as text.

use rusqlite::Row;
use rusqlite::types::ValueRef;

/// A text column.
pub(super) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Null => String::new(),
    })
}

/// A counter or a size; what is negative or no number counts as 0.
pub(super) fn natural(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(number) => u64::try_from(number).unwrap_or(0),
        ValueRef::Real(number) => number as u64,
        _ => 0,
    })
}

/// A time in seconds since 1970; 0 when it cannot be read.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<i64> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(seconds) => seconds,
        ValueRef::Real(seconds) => seconds as i64,
        ValueRef::Text(text) => parse_time(text).unwrap_or(0),
        ValueRef::Blob(_) | ValueRef::Null => 0,
    })
}

/// `YYYY-MM-DD`, then nothing or any one byte and `HH:MM:SS`, then anything. Always taken as UTC, which is what the
/// Go tracker writes.
fn parse_time(text: &[u8]) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
    };
    if text.get(4) != Some(&b'-') || text.get(7) != Some(&b'-') {
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    let days = days_since_1970(number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let clock = number(11, 13).zip(number(14, 16)).zip(number(17, 19));
    Some(days * 86_400 + clock.map_or(0, |((hours, minutes), seconds)| hours * 3600 + minutes * 60 + seconds))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counting years from March so that the leap day is last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form_the_go_tracker_may_have_used() {
        assert_eq!(parse_time(b"1970-01-01"), Some(0));
        assert_eq!(parse_time(b"2000-02-29 12:34:56"), Some(951_827_696));
        assert_eq!(parse_time(b"2026-11-20T22:32:01Z"), Some(1_795_213_921));
        assert_eq!(parse_time(b"2026-11-20 22:32:01.5 +0000 UTC"), Some(1_795_213_921));
        assert_eq!(parse_time(b"1700000000"), Some(1_700_000_000));
        assert_eq!(parse_time(b"yesterday"), None);
    }
}

//! Dates as HTTP writes them: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7), and as logs do:
//! `1994-11-06T08:49:37` (RFC 3339, UTC).

use crate::base::UnixSeconds;

/// A date of 29 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HttpDate([u8; 29]);

impl HttpDate {
    /// The date of a moment up to the year 9999.
    pub fn at(unix: UnixSeconds) -> Self {
        let unix = unix.min(LAST_SECOND);
        let (days, seconds) = (unix / 86_400, unix % 86_400);
        let (year, month, day) = civil(days);
        let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
        text[..3].copy_from_slice(&WEEKDAYS[(days % 7) as usize]);
        two(&mut text[5..7], day);
        text[8..11].copy_from_slice(&MONTHS[month as usize - 1]);
        two(&mut text[12..14], year / 100);
        two(&mut text[14..16], year % 100);
        two(&mut text[17..19], seconds / 3600);
        two(&mut text[20..22], seconds / 60 % 60);
        two(&mut text[23..25], seconds % 60);
        Self(text)
    }

    /// Its text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A moment up to the year 9999 as logs write it, without fractions and zone: `1994-11-06T08:49:37`.
pub fn log_date(unix: UnixSeconds) -> String {
    let unix = unix.min(LAST_SECOND);
    let ((year, month, day), seconds) = (civil(unix / 86_400), unix % 86_400);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// The moment of such a date; the two older forms that servers no longer send are not read.
pub fn parse_date(text: &[u8]) -> Option<UnixSeconds> {
    let text: &[u8; 29] = text.try_into().ok()?;
    let number = |from: usize, to: usize| {
        let digits = &text[from..to];
        let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit.wrapping_sub(b'0')));
        digits.iter().all(u8::is_ascii_digit).then_some(value)
    };
    let month = MONTHS.iter().position(|name| name[..] == text[8..11])? as u64 + 1;
    let (year, day) = (number(12, 16)?, number(5, 7)?);
    let (hours, minutes, seconds) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
    let in_range = (1970..=9999).contains(&year) && hours < 24 && minutes < 60 && seconds < 61;
    if !in_range || !(1..=31).contains(&day) {
        return None;
    }
    // Each month is looked up in the calendar that writes dates, so that both agree.
    let first = (year - 1970) * 365 + (year - 1969) / 4 - (year - 1901) / 100 + (year - 1601) / 400;
    let day_number = (first..first + 366).find(|days| civil(*days) == (year, month, day))?;
    let unix = day_number * 86_400 + hours * 3600 + minutes * 60 + seconds;
    (HttpDate::at(unix).0[..22] == text[..22]).then_some(unix)
}

fn two(place: &mut [u8], number: u64) {
    place[0] = b'0' + (number / 10 % 10) as u8;
    place[1] = b'0' + (number % 10) as u8;
}

/// Year, month and day of a day since 1970-01-01, counted in eras of 400 years that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

const LAST_SECOND: u64 = 253_402_300_799;
const WEEKDAYS: [[u8; 3]; 7] = [*b"Thu", *b"Fri", *b"Sat", *b"Sun", *b"Mon", *b"Tue", *b"Wed"];
const MONTHS: [[u8; 3]; 12] = [
    *b"Jan", *b"Feb", *b"Mar", *b"Apr", *b"May", *b"Jun", *b"Jul", *b"Aug", *b"Sep", *b"Oct", *b"Nov",
    *b"Dec",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (unix, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(HttpDate::at(unix).as_bytes()), Ok(text));
        }
        assert_eq!(log_date(784_111_777), "1994-11-06T08:49:37");
        assert_eq!(log_date(u64::MAX), "9999-12-31T23:59:59");
    }

    #[test]
    fn what_is_written_is_read() {
        for unix in (0..400_000_000_000).step_by(86_399 * 397).take_while(|unix| *unix <= LAST_SECOND) {
            assert_eq!(parse_date(HttpDate::at(unix).as_bytes()), Some(unix));
        }
        for bad in [
            "",
            "Sun, 06 Nov 1994 08:49:37 UTC+",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 0000 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
        ] {
            assert_eq!(parse_date(bad.as_bytes()), None, "{bad}");
        }
    }
}

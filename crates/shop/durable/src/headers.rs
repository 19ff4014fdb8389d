//! Record headers as one column: each name and value with its length before it.

use crate::Error;

/// Headers of an event or a record, in order; a name may occur more than once.
pub(crate) type Headers = Vec<(String, Vec<u8>)>;

pub(crate) fn encode(headers: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes =
        Vec::with_capacity(headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum());
    for (name, value) in headers {
        put(&mut bytes, name.as_bytes());
        put(&mut bytes, value);
    }
    bytes
}

pub(crate) fn decode(mut bytes: &[u8]) -> Result<Headers, Error> {
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        let name = take(&mut bytes)?;
        let value = take(&mut bytes)?;
        let name = String::from_utf8(name.to_vec()).map_err(|_| MALFORMED)?;
        headers.push((name, value.to_vec()));
    }
    Ok(headers)
}

const MALFORMED: Error = Error::Malformed { what: "headers" };

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    // A part beyond 4 GiB is beyond what SQLite stores in a column; it is cut there rather than corrupt the rest.
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend(part.iter().take(length as usize));
}

fn take<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Error> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(MALFORMED)?;
    let (part, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or(MALFORMED)?;
    *bytes = rest;
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_as_they_were_stored() {
        let headers = vec![
            ("traceparent".to_owned(), b"00-1-2-01".to_vec()),
            ("twice".to_owned(), Vec::new()),
            ("twice".to_owned(), vec![0, 255]),
        ];
        assert_eq!(decode(&encode(&headers)).unwrap(), headers);
        assert_eq!(decode(&[]).unwrap(), Vec::new());
    }

    #[test]
    fn cut_off_headers_are_an_error_and_no_panic() {
        let bytes = encode(&[("name".to_owned(), b"value".to_vec())]);
        for length in 1..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} bytes");
        }
    }
}

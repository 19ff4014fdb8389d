//! Headers by name, for the few that a request or a response mostly has.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Headers of a map that is looked through: to compare so many names takes less than to hash the one that is wanted.
const FEW: usize = 8;

/// The first value of a header.
pub(crate) fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    if headers.len() > FEW {
        return headers.get(name);
    }
    headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_is_found_among_few_and_many() {
        let (name, other) = (HeaderName::from_static("grpc-status"), HeaderName::from_static("te"));
        let mut headers = HeaderMap::new();
        assert_eq!(first(&headers, &name), None);
        for value in ["0", "1"] {
            headers.append(&name, HeaderValue::from_static(value));
        }
        headers.append(&other, HeaderValue::from_static("trailers"));
        for number in 0..2 * FEW {
            assert_eq!(first(&headers, &name).unwrap(), "0");
            assert_eq!(first(&headers, &other).unwrap(), "trailers");
            assert_eq!(first(&headers, &http::header::HOST), None);
            let further = HeaderName::from_bytes(format!("x-{number}").as_bytes()).unwrap();
            headers.append(further, HeaderValue::from_static("x"));
        }
    }
}

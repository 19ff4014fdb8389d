//! Trace ids as clients write them.

use crate::error::Error;
use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use waypost_trace_model::TraceId;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);

/// Up to 32 hex digits, padded with zeros on the left, or else base64 (of either alphabet, padded or not) of 16 or 8
/// bytes. What is both is hex, as in Jaeger.
pub(crate) fn hex_or_base64(name: &'static str, text: &str) -> Result<TraceId, Error> {
    text.parse().or_else(|error| {
        from_base64(text)
            .ok_or_else(|| Error::parameter(name, format!("`{text}` is not a trace id: {error}")))
    })
}

/// 32 hex digits, or 16 when the first half is zero, as Jaeger and Zipkin write ids of 64 bits.
pub(crate) fn short(id: TraceId) -> String {
    let text = id.to_string();
    text.strip_prefix("0000000000000000").unwrap_or(&text).to_owned()
}

fn from_base64(text: &str) -> Option<TraceId> {
    let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()?;
    match bytes.len() {
        16 => TraceId::from_bytes(&bytes),
        8 => TraceId::from_bytes(&[[0; 8].as_slice(), &bytes].concat()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_comes_before_base64() {
        let read = |text: &str| hex_or_base64("id", text).map(|id| id.to_string()).ok();
        let whole = |text: &str| Some(format!("{text:0>32}"));
        assert_eq!(read("1"), whole("1"));
        assert_eq!(read("00ABCDEF"), whole("abcdef"));
        assert_eq!(read("AAAAAAAAAAIAAAAAAAAAAQ=="), whole("20000000000000001"));
        assert_eq!(read("AAAAAAAAAAIAAAAAAAAAAQ"), whole("20000000000000001"));
        assert_eq!(read("AAAAAAAAAPs="), whole("fb"));
        assert_eq!(read("-_-_-_-_-_8="), whole("fbffbffbffbffbff"));
        assert_eq!(read("+/+/+/+/+/8="), whole("fbffbffbffbffbff"));
        assert_eq!(read("ffffffffffffffff"), whole("ffffffffffffffff"));
        for wrong in ["0", "zz", "", "AAAAQ", "AAAAAAAAAAAAAAAAAAAAAA==", "000000000000000000000000000000001"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}

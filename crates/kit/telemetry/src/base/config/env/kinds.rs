//! What a variable may hold, and how a setting is said in the words of a variable.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::pem;
use crate::base::config::values::HIDDEN;
use crate::base::config::{
    Compression, Endpoint, ExemplarFilter, Exporter, Headers, Propagator, SamplerKind, Temporality,
};

/// A kind of value.
pub(super) struct Kind<T: 'static> {
    /// As the object of "is not".
    pub(super) takes: &'static str,
    pub(super) parse: fn(&str) -> Option<T>,
}

pub(super) const TEXT: Kind<String> = Kind { takes: "text", parse: |text| Some(text.to_owned()) };

pub(super) const COUNT: Kind<u32> =
    Kind { takes: "a whole number from 0 to 2147483647", parse: |text| whole(text, 0) };

pub(super) const LENGTH: Kind<usize> = Kind {
    takes: "a whole number from 0 to 2147483647",
    parse: |text| usize::try_from(whole(text, 0)?).ok(),
};

pub(super) const SIZE: Kind<usize> = Kind {
    takes: "a whole number from 1 to 2147483647",
    parse: |text| usize::try_from(whole(text, 1)?).ok(),
};

pub(super) const MILLISECONDS: Kind<Duration> = Kind {
    takes: "a whole number of milliseconds",
    parse: |text| whole(text, 0).map(u64::from).map(Duration::from_millis),
};

pub(super) const TIMEOUT: Kind<Duration> =
    Kind { takes: "a whole number of milliseconds, 0 for no limit", parse: MILLISECONDS.parse };

pub(super) const INTERVAL: Kind<Duration> = Kind {
    takes: "a whole number of milliseconds from 1",
    parse: |text| (MILLISECONDS.parse)(text).filter(|interval| !interval.is_zero()),
};

pub(super) const RATIO: Kind<f64> = Kind {
    takes: "a number from 0 to 1",
    parse: |text| text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)),
};

pub(super) const SAMPLER: Kind<SamplerKind> = Kind {
    takes: "one of always_on, always_off, traceidratio, with the feature `jaeger-remote` jaeger_remote, and their parentbased_ forms",
    parse: |text| {
        named(&SamplerKind::NAMES, text).filter(|kind| cfg!(feature = "jaeger-remote") || !kind.asks_jaeger())
    },
};

pub(super) const PROTOCOL: Kind<Exporter> =
    Kind { takes: "one of http/protobuf, http/json, grpc", parse: |text| named(&PROTOCOLS, text) };

pub(super) const COMPRESSION: Kind<Compression> =
    Kind { takes: "one of gzip, none", parse: |text| named(&COMPRESSIONS, text) };

pub(super) const TEMPORALITY: Kind<Temporality> =
    Kind { takes: "one of cumulative, delta, lowmemory", parse: |text| named(&TEMPORALITIES, text) };

pub(super) const EXEMPLARS: Kind<ExemplarFilter> = Kind {
    takes: "one of always_on, always_off, trace_based",
    parse: |text| named(&ExemplarFilter::NAMES, text),
};

pub(super) const ENDPOINT: Kind<String> = Kind {
    takes: "an address such as http://collector:4318 without credentials",
    parse: |text| Endpoint::parse(text).ok().map(|_| text.to_owned()),
};

pub(super) const HTTP_ENDPOINT: Kind<String> = Kind {
    takes: "an address that begins with http:// or https://, without credentials",
    parse: |text| Endpoint::parse(text).ok().filter(Endpoint::has_scheme).map(|_| text.to_owned()),
};

pub(super) const HEADERS: Kind<Headers> = Kind {
    takes: "a list of name=value, separated by commas",
    parse: |text| {
        let mut headers = Headers::default();
        for (name, value) in pairs(text)? {
            HeaderName::from_bytes(name.as_bytes()).ok()?;
            HeaderValue::from_str(&value).ok()?;
            headers.0.insert(name.to_lowercase(), value);
        }
        Some(headers)
    },
};

pub(super) const FILE: Kind<PathBuf> = Kind {
    takes: "a file that can be read",
    parse: |text| {
        let path = PathBuf::from(text);
        std::fs::File::open(&path).ok().filter(|file| file.metadata().is_ok_and(|file| file.is_file()))?;
        Some(path)
    },
};

pub(super) const CERTIFICATES: Kind<PathBuf> = Kind {
    takes: "a file of certificates in PEM form",
    parse: |text| (FILE.parse)(text).filter(|path| pem::holds_certificates(path)),
};

pub(super) const PRIVATE_KEY: Kind<PathBuf> = Kind {
    takes: "a file of a private key in PEM form",
    parse: |text| (FILE.parse)(text).filter(|path| pem::holds_private_key(path)),
};

pub(super) const FILTER: Kind<String> = Kind {
    takes: "a filter such as info,my_crate=debug",
    parse: |text| crate::base::config::log_filter::check_filter(text).ok().map(|()| text.to_owned()),
};

const PROTOCOLS: [(&str, Exporter); 3] = [
    ("http/protobuf", Exporter::OtlpHttp),
    ("http/json", Exporter::OtlpHttpJson),
    ("grpc", Exporter::OtlpGrpc),
];

const COMPRESSIONS: [(&str, Compression); 2] = [("none", Compression::None), ("gzip", Compression::Gzip)];

const TEMPORALITIES: [(&str, Temporality); 3] = [
    ("cumulative", Temporality::Cumulative),
    ("delta", Temporality::Delta),
    ("lowmemory", Temporality::LowMemory),
];

pub(super) const PROPAGATORS: [(&str, Propagator); 6] = [
    ("tracecontext", Propagator::TraceContext),
    ("baggage", Propagator::Baggage),
    ("b3", Propagator::B3),
    ("b3multi", Propagator::B3Multi),
    ("jaeger", Propagator::Jaeger),
    ("xray", Propagator::XRay),
];

/// Nothing in it is secret.
pub(super) fn never(_: &str) -> bool {
    false
}

/// All of it may be.
pub(super) fn always(_: &str) -> bool {
    true
}

/// An address may hold a password before its host, or a token in its query.
pub(super) fn with_credentials(text: &str) -> bool {
    text.contains(['@', '?'])
}

/// How OTLP travels, in the words of the variable.
pub(super) fn protocol_of(exporters: &[Exporter]) -> String {
    let name = |exporter| PROTOCOLS.iter().find(|(_, known)| known == exporter).map(|(name, _)| *name);
    exporters.iter().find_map(name).unwrap_or("no OTLP").to_owned()
}

/// The range that every implementation takes.
fn whole(text: &str, min: u32) -> Option<u32> {
    text.parse().ok().filter(|number| (min..=i32::MAX.unsigned_abs()).contains(number))
}

/// Names are taken in any case.
pub(super) fn named<T: Copy>(names: &[(&str, T)], text: &str) -> Option<T> {
    names.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, value)| *value)
}

pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// `a=1,b=2`, both sides percent-encoded. One that cannot be read makes all of them unreadable.
pub(super) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        let key = decoded(key.trim()).filter(|key| !key.is_empty())?;
        Some((key, decoded(value.trim())?))
    };
    list(text).map(pair).collect()
}

/// The library leaves a `%` without two hex digits as it is; here that is an error.
fn decoded(text: &str) -> Option<String> {
    let mut after = text.split('%').skip(1);
    let is_encoded =
        after.all(|rest| rest.get(..2).is_some_and(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit())));
    if !is_encoded {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// A setting in the words of a variable.
pub(super) trait Show {
    fn show(&self) -> String;
}

macro_rules! show_as_display {
    ($($type:ty),*) => { $(impl Show for $type { fn show(&self) -> String { self.to_string() } })* };
}

show_as_display!(bool, f64, String, u32, usize);

/// A table of names gives the name back.
macro_rules! show_as_named {
    ($($type:ty: $names:expr),*) => { $(impl Show for $type {
        fn show(&self) -> String {
            $names.iter().find(|(_, value)| value == self).map(|(name, _)| (*name).to_owned()).unwrap_or_default()
        }
    })* };
}

show_as_named!(
    SamplerKind: SamplerKind::NAMES,
    Compression: COMPRESSIONS,
    Temporality: TEMPORALITIES,
    ExemplarFilter: ExemplarFilter::NAMES
);

impl Show for Duration {
    fn show(&self) -> String {
        self.as_millis().to_string()
    }
}

impl Show for PathBuf {
    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Show for Headers {
    fn show(&self) -> String {
        if self.0.is_empty() { "nothing".to_owned() } else { HIDDEN.to_owned() }
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "the default".to_owned(), Show::show)
    }
}

impl Show for Vec<Exporter> {
    fn show(&self) -> String {
        joined(self.iter().map(|exporter| match exporter {
            Exporter::OtlpHttp | Exporter::OtlpHttpJson | Exporter::OtlpGrpc => "otlp",
            other => other.name(),
        }))
    }
}

impl Show for Vec<Propagator> {
    fn show(&self) -> String {
        let name = |chosen| PROPAGATORS.iter().find(move |(_, known)| known == chosen).map(|(name, _)| *name);
        joined(self.iter().filter_map(name))
    }
}

fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(",") }
}

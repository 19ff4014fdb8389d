//! The methods a server serves: the only ones that get a name of their own.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use prost::Message;
use prost_types::FileDescriptorSet;

use crate::base::names::{self, Kind};
use crate::base::slots::Slots;

/// Methods a server without a list learns by answering them, at most.
const MAX_LEARNED: usize = 256;

/// Longer paths are nobody's method.
const MAX_NAME: usize = 255;

/// Services that gRPC itself defines and that no descriptor set of a program mentions.
const STANDARD: [&str; 4] = [
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// The list of methods a server serves.
///
/// ```
/// use waypost_telemetry::grpc::Methods;
///
/// let methods = Methods::new(["waypost.user.v1.UserService/GetUser"]);
/// assert!(methods.contains("waypost.user.v1.UserService/GetUser"));
/// assert!(!methods.contains("waypost.user.v1.UserService/Guess"));
/// ```
#[derive(Clone, Debug)]
pub struct Methods(HashMap<Box<str>, &'static str>);

/// The descriptor set cannot be read.
///
/// ```
/// use waypost_telemetry::grpc::Methods;
///
/// let error = Methods::of_descriptor_set(b"no descriptors").unwrap_err();
/// assert_eq!(error.to_string(), "cannot read the protobuf descriptor set");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the protobuf descriptor set")]
pub struct DescriptorError(#[source] prost::DecodeError);

impl Methods {
    /// Full names, `package.Service/Method`. The health and reflection services of gRPC are always among them.
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        let mut methods = Self(HashMap::new());
        for name in STANDARD {
            methods.add(name);
        }
        for name in names {
            methods.add(name.as_ref());
        }
        methods
    }

    /// Every method of every service in an encoded `google.protobuf.FileDescriptorSet`.
    ///
    /// ```
    /// use waypost_telemetry::grpc::Methods;
    ///
    /// let methods = Methods::of_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)?;
    /// assert!(methods.contains("grpc.health.v1.Health/Check"));
    /// # Ok::<(), waypost_telemetry::grpc::DescriptorError>(())
    /// ```
    pub fn of_descriptor_set(encoded: &[u8]) -> Result<Self, DescriptorError> {
        let set = FileDescriptorSet::decode(encoded).map_err(DescriptorError)?;
        let mut methods = Self::new::<&str>([]);
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let dot = if file.package().is_empty() { "" } else { "." };
                    methods.add(&format!("{}{dot}{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        Ok(methods)
    }

    /// Whether the full name is in the list.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn add(&mut self, name: &str) {
        if let Some(kept) = names::keep(Kind::Method, name) {
            self.0.insert(name.into(), kept);
        }
    }
}

/// How a path becomes a name.
#[derive(Clone, Debug)]
pub(super) enum Naming {
    /// What is not in the list has no name.
    Listed(Arc<Methods>),
    /// A method has a name once it was served.
    Learned(Arc<Learned>),
}

/// What was learned, and what of it is found without a lock.
#[derive(Debug, Default)]
pub(super) struct Learned {
    names: RwLock<HashMap<Box<str>, &'static str>>,
    quick: Slots<&'static str, ()>,
}

impl Learned {
    fn find(&self, name: &str) -> Option<&'static str> {
        if let Some((known, ())) = self.quick.find_entry(&name, |known| *known == name) {
            return Some(*known);
        }
        let known = *self.names.read().unwrap_or_else(PoisonError::into_inner).get(name)?;
        self.quick.keep(known, ());
        Some(known)
    }
}

/// What is known about the name of a call at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MethodName {
    /// The server serves it.
    Known(&'static str),
    /// Not known yet; the answer will tell. The path without its first slash.
    Unproven(Box<str>),
    /// The server does not serve it. What was asked for.
    Other(Box<str>),
}

impl Naming {
    pub(super) fn listed(methods: Methods) -> Self {
        Self::Listed(Arc::new(methods))
    }

    pub(super) fn learned() -> Self {
        Self::Learned(Arc::default())
    }

    /// The name of the method at `path`, `/package.Service/Method`.
    pub(super) fn of(&self, path: &str) -> MethodName {
        let name = path.strip_prefix('/').unwrap_or(path);
        let known = match self {
            Self::Listed(methods) => methods.0.get(name).copied(),
            Self::Learned(learned) => learned.find(name),
        };
        match (known, self) {
            (Some(known), _) => MethodName::Known(known),
            (None, _) if !is_well_formed(name) => {
                MethodName::Other(crate::base::redact::bounded_to(name, MAX_NAME).into())
            }
            (None, Self::Listed(_)) => MethodName::Other(name.into()),
            (None, Self::Learned(_)) => MethodName::Unproven(name.into()),
        }
    }

    /// A method that was served, or that our own code calls, has a name from now on. As long as there is room.
    pub(super) fn prove(&self, name: MethodName) -> MethodName {
        let (Self::Learned(learned), MethodName::Unproven(unproven)) = (self, &name) else { return name };
        let mut learned = learned.names.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = learned.get(unproven) {
            return MethodName::Known(known);
        }
        if learned.len() >= MAX_LEARNED {
            return MethodName::Other(unproven.clone());
        }
        let Some(kept) = names::keep(Kind::Method, unproven) else {
            return MethodName::Other(unproven.clone());
        };
        learned.insert(unproven.clone(), kept);
        MethodName::Known(kept)
    }
}

fn is_well_formed(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
    name.len() <= MAX_NAME
        && name
            .split_once('/')
            .is_some_and(|(service, method)| is_part(service) && is_part(method) && !method.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::{FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto};

    #[test]
    fn the_methods_of_a_descriptor_set_are_known() {
        let method =
            MethodDescriptorProto { name: Some("Check".to_owned()), ..MethodDescriptorProto::default() };
        let service = ServiceDescriptorProto {
            name: Some("Stock".to_owned()),
            method: vec![method],
            ..ServiceDescriptorProto::default()
        };
        let file = FileDescriptorProto {
            package: Some("shop.v1".to_owned()),
            service: vec![service],
            ..FileDescriptorProto::default()
        };
        let set = FileDescriptorSet { file: vec![file] }.encode_to_vec();
        let methods = Methods::of_descriptor_set(&set).unwrap();
        assert!(methods.contains("shop.v1.Stock/Check"));
        assert!(methods.contains("grpc.health.v1.Health/Check"));
        assert!(Methods::of_descriptor_set(&[0xff]).is_err());
    }

    #[test]
    fn a_listed_server_names_nothing_else() {
        let naming = Naming::listed(Methods::new(["a.B/C"]));
        assert_eq!(naming.of("/a.B/C"), MethodName::Known("a.B/C"));
        assert_eq!(naming.of("/a.B/D"), MethodName::Other("a.B/D".into()));
        assert_eq!(naming.prove(naming.of("/a.B/D")), MethodName::Other("a.B/D".into()));
    }

    #[test]
    fn a_server_without_a_list_learns_a_bounded_number_of_names() {
        let naming = Naming::learned();
        let first = naming.of("/a.B/M0");
        assert_eq!(first, MethodName::Unproven("a.B/M0".into()));
        assert_eq!(naming.prove(first), MethodName::Known("a.B/M0"));
        assert_eq!(naming.of("/a.B/M0"), MethodName::Known("a.B/M0"));
        for index in 0..MAX_LEARNED * 2 {
            naming.prove(naming.of(&format!("/a.B/M{index}")));
        }
        let late = naming.of("/a.B/late");
        assert_eq!(naming.prove(late), MethodName::Other("a.B/late".into()));
    }

    #[test]
    fn paths_that_are_no_method_have_no_name() {
        for path in ["", "/", "/a", "/a/", "//b", "/a/b/c", "/a b/c", "/a/\u{e9}"] {
            assert!(matches!(Naming::learned().of(path), MethodName::Other(_)), "{path}");
        }
        assert!(matches!(Naming::learned().of(&format!("/a/{}", "b".repeat(300))), MethodName::Other(_)));
    }
}

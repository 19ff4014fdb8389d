//! What a role shows to others at the moment, and how it is renewed.

use crate::{
    Error, Files, Incoming, Names, Outgoing, certificate::moment, files::Contents, files::chain,
    material::Material,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::SystemTime,
};

/// The identity of one role. Cheap to clone; clones are one.
#[derive(Clone, Debug)]
pub struct Identity {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    role: &'static str,
    files: Files,
    names: Names,
    state: RwLock<State>,
    /// What was last said of the others, by role and address, so that it is said once.
    said: Mutex<HashMap<(&'static str, Option<String>), String>>,
}

/// Others of which something is remembered. Addresses come and go; what is forgotten is said again.
const MAX_SAID: usize = 256;

struct State {
    material: Arc<Material>,
    /// What the files held when they were last judged, whatever came of it.
    judged: Contents,
    /// Why the files as they are now are not in use.
    trouble: Option<String>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let State { material, trouble, .. } = self;
        f.debug_struct("State").field("material", material).field("trouble", trouble).finish_non_exhaustive()
    }
}

/// What a look at the files led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// They are as they were.
    Unchanged,
    /// What they hold now is used from the next connection on.
    Renewed,
    /// They have changed, or cannot be read, and what was in use stays in use.
    Kept,
}

/// How the identity stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When the certificate in use ends, or the first of those between it and its authority.
    pub not_after: SystemTime,
    /// Why the files as they are now are not in use.
    pub trouble: Option<String>,
}

impl Identity {
    /// Reads the files of a role.
    ///
    /// # Errors
    /// When they cannot be read, do not belong together, or show nobody or another role.
    pub fn open(role: &'static str, files: Files, names: Names) -> Result<Self, Error> {
        let contents = files.read()?;
        let material = Arc::new(Material::new(role, &files, &contents, &names)?);
        let state = RwLock::new(State { material, judged: contents, trouble: None });
        Ok(Self { shared: Arc::new(Shared { role, files, names, state, said: Mutex::default() }) })
    }

    /// The role.
    pub fn role(&self) -> &'static str {
        self.shared.role
    }

    /// Its files.
    pub fn files(&self) -> &Files {
        &self.shared.files
    }

    /// For a listener: takes connections of those who show a certificate.
    pub fn incoming(&self) -> Incoming {
        Incoming::new(self.clone())
    }

    /// For a channel: makes connections to a role, and to nobody else.
    pub fn outgoing(&self, role: &'static str) -> Outgoing {
        Outgoing::new(self.clone(), role)
    }

    /// Looks whether the files have changed, and takes what they hold when all of it can be used. To be called every few
    /// seconds; reads the files, so it blocks. Says each change once in the log.
    pub fn refresh(&self) -> Refreshed {
        let Shared { role, files, names, .. } = &*self.shared;
        let contents = match files.read() {
            Ok(contents) => contents,
            Err(error) => return self.keep(None, &error),
        };
        if self.read(|state| state.judged == contents) {
            // A file that could not be read for a moment is back.
            self.write(|state| {
                if state.trouble.as_ref().is_some_and(|trouble| trouble.starts_with(UNREADABLE)) {
                    state.trouble = None;
                }
            });
            return Refreshed::Unchanged;
        }
        match Material::new(role, files, &contents, names) {
            Ok(material) => {
                let not_after = moment(material.not_after);
                self.write(|state| {
                    *state = State { material: Arc::new(material), judged: contents, trouble: None };
                });
                tracing::info!(role, not_after, "the certificate was renewed; new connections use it");
                Refreshed::Renewed
            }
            Err(error) => self.keep(Some(contents), &error),
        }
    }

    /// Remembers why the files are of no use, and says so when it is news.
    fn keep(&self, judged: Option<Contents>, error: &Error) -> Refreshed {
        let prefix = if judged.is_none() { UNREADABLE } else { "" };
        let reason = format!("{prefix}{}", chain(error));
        let (is_news, not_after) = self.write(|state| {
            let is_news = state.trouble.as_ref() != Some(&reason);
            state.trouble = Some(reason.clone());
            if let Some(judged) = judged {
                state.judged = judged;
            }
            (is_news, state.material.not_after)
        });
        if is_news {
            let not_after = moment(not_after);
            tracing::warn!(
                role = self.role(),
                reason,
                not_after,
                "the certificate cannot be renewed; the one in use stays"
            );
        }
        Refreshed::Kept
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        self.read(|state| Standing { not_after: state.material.not_after, trouble: state.trouble.clone() })
    }

    pub(crate) fn material(&self) -> Arc<Material> {
        self.read(|state| Arc::clone(&state.material))
    }

    pub(crate) fn names(&self) -> &Names {
        &self.shared.names
    }

    /// Whether it was not the last thing that was said of a connection to this role at this address.
    pub(crate) fn is_news(&self, role: &'static str, at: Option<&str>, text: &str) -> bool {
        let mut said = self.shared.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= MAX_SAID {
            said.clear();
        }
        said.insert((role, at.map(str::to_owned)), text.to_owned()).is_none_or(|before| before != text)
    }

    /// The role at this address has answered, so whatever was said of it is over.
    pub(crate) fn heard(&self, role: &'static str, at: Option<&str>) {
        self.shared
            .said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(role, at.map(str::to_owned)));
    }

    /// Whether two are clones of one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.shared.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a trouble begins with that is over as soon as the files can be read as they were.
const UNREADABLE: &str = "unreadable: ";

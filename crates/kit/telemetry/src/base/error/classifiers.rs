//! Classes for errors of other crates, said once for the whole program.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use super::{Classification, ErrorType, known};

/// Classifiers that are kept; more change nothing.
const MAX: usize = 64;

/// Knows errors of other crates that hide behind `Box<dyn Error>`, `anyhow::Error` or `eyre::Report`.
///
/// A closure is one. [`add_classifier`] has an example.
pub trait ClassifyError: Send + Sync + 'static {
    /// What an error is, if it is one of those that are known here.
    fn classify(&self, error: &(dyn Error + 'static)) -> Option<Classification>;
}

impl<F: Fn(&(dyn Error + 'static)) -> Option<Classification> + Send + Sync + 'static> ClassifyError for F {
    fn classify(&self, error: &(dyn Error + 'static)) -> Option<Classification> {
        self(error)
    }
}

static CLASSIFIERS: RwLock<Vec<Arc<dyn ClassifyError>>> = RwLock::new(Vec::new());

/// Adds a classifier for the whole process, as an implementation of a trait would be for the whole program. Each error of a
/// chain is shown to all of them, the outermost error first; what none knows is looked up among the types that the kit knows.
/// For a program's start, not for libraries.
///
/// ```
/// use std::error::Error;
/// use waypost_telemetry::error::{Classification, ErrorClass, ErrorDetails, add_classifier};
///
/// add_classifier(|error: &(dyn Error + 'static)| {
///     let error = error.downcast_ref::<std::num::ParseIntError>()?;
///     Some(Classification::new("not_a_number").class(ErrorClass::Caller).attr("number.kind", format!("{:?}", error.kind())))
/// });
/// let hidden: Box<dyn Error + Send + Sync> = "x".parse::<u32>().unwrap_err().into();
/// let details = ErrorDetails::of(&hidden);
/// assert_eq!((details.error_type(), details.class()), ("not_a_number", ErrorClass::Caller));
/// ```
pub fn add_classifier(classifier: impl ClassifyError) {
    let mut classifiers = CLASSIFIERS.write().unwrap_or_else(PoisonError::into_inner);
    if classifiers.len() < MAX {
        classifiers.push(Arc::new(classifier));
    }
}

/// What answers for an error that hides its type.
pub(super) enum Found<'a> {
    Classified(Classification),
    Known(&'a dyn ErrorType),
}

/// The first error of a chain that anybody knows.
pub(super) fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<Found<'a>> {
    let classifiers = CLASSIFIERS.read().unwrap_or_else(PoisonError::into_inner).clone();
    let chain = std::iter::successors(Some(error), |error| (*error).source());
    // A chain that never ends is somebody's mistake.
    chain.take(64).find_map(|error| {
        // A classifier that panics knows nothing.
        let ask = |classifier: &Arc<dyn ClassifyError>| {
            catch_unwind(AssertUnwindSafe(|| classifier.classify(error))).ok().flatten()
        };
        let classified = classifiers.iter().find_map(ask).map(Found::Classified);
        classified.or_else(|| known::of(error).map(Found::Known))
    })
}

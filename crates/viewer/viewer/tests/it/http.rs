//! Requests as an outsider sends them, and the problem documents of the viewer.

pub(crate) use waypost_test_client::{Answer as Reply, Request};

/// What the viewer's tests ask of answers.
pub(crate) trait ReplyExt {
    /// The last part of the type of a problem document.
    fn problem_name(&self) -> &str;
}

impl ReplyExt for Reply {
    fn problem_name(&self) -> &str {
        self.problem()["type"].as_str().unwrap().strip_prefix("urn:waypost:viewer:").unwrap()
    }
}

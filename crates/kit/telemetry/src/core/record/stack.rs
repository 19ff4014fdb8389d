//! Stack traces that show the frames that matter.
//!
//! A backtrace of an async program is long: the frames of its capture come first, those of the runtime last, and the
//! code that failed is between them, with more of the runtime in between. What is not the program's own is left out. A stack trace has a limit of its own, so that the one for
//! ordinary attribute values cannot cut it in the middle.

use std::fmt::Write as _;

/// The attribute that holds a stack trace.
pub(super) const ATTRIBUTE: &str = "exception.stacktrace";

/// Longest stack trace, in bytes.
const MAX: usize = 32 * 1024;

/// Frames of the program that are shown; a recursion has more.
const MAX_FRAMES: usize = 64;

/// Crates whose frames say nothing.
const PLUMBING: [&str; 17] = [
    "std",
    "core",
    "alloc",
    "backtrace",
    "tokio",
    "futures_util",
    "tower",
    "hyper",
    "hyper_util",
    "axum",
    "tonic",
    "tracing",
    "waypost_telemetry",
    "test",
    "__rustc",
    "anyhow",
    "eyre",
];

/// A backtrace of the standard library with the frames of the program: those of plumbing before the first are left out, those
/// between and below are counted. All of it if nothing else is in it.
pub(super) fn own_frames(backtrace: &str) -> String {
    let frames = frames_of(backtrace);
    let Some(first) = frames.iter().position(|frame| !is_plumbing(frame)) else {
        return backtrace.to_owned();
    };
    let mut text = String::with_capacity(backtrace.len());
    let (mut kept, mut passed) = (0, 0);
    for frame in frames.iter().skip(first) {
        if is_plumbing(frame) || kept == MAX_FRAMES {
            passed += 1;
            continue;
        }
        if passed > 0 {
            let _ = writeln!(text, "      {passed} frames between");
            passed = 0;
        }
        text.push_str(frame);
        kept += 1;
    }
    if passed > 0 {
        let what = if kept == MAX_FRAMES { "more" } else { "of the runtime below" };
        let _ = write!(text, "      {passed} frames {what}");
    }
    text
}

/// Cuts between characters.
pub(super) fn bounded(mut trace: String) -> String {
    if trace.len() > MAX {
        let end = (0..=MAX).rev().find(|end| trace.is_char_boundary(*end)).unwrap_or_default();
        trace.truncate(end);
    }
    trace
}

/// Each frame with its lines: the number and the name, then where it is.
fn frames_of(backtrace: &str) -> Vec<String> {
    let mut frames: Vec<String> = Vec::new();
    for line in backtrace.lines() {
        let begins =
            line.trim_start().split_once(':').is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        match frames.last_mut().filter(|_| !begins) {
            Some(frame) => {
                frame.push_str(line);
                frame.push('\n');
            }
            None => frames.push(format!("{line}\n")),
        }
    }
    frames
}

fn is_plumbing(frame: &str) -> bool {
    let name = frame.trim_start().split_once(": ").map_or("", |(_, name)| name);
    // `<tokio::runtime::task::Core<T> as Future>::poll` belongs to tokio, `<F as FnOnce>::call_once` to nobody.
    let name = name.trim_start_matches(['<', '&', '*']).trim_start_matches("dyn ");
    let Some((owner, _)) = name.split_once("::") else { return true };
    let owner = owner.trim_start_matches("mut ");
    PLUMBING.contains(&owner) || owner.contains(" as ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKTRACE: &str = "   0: std::backtrace::Backtrace::force_capture
             at /rustc/1/library/std/src/backtrace.rs:312:9
   1: waypost_telemetry::core::record::record_in
   2: <shop::pay::Charge as core::future::Future>::poll
             at ./src/pay.rs:4:5
   3: <core::pin::Pin<P> as core::future::future::Future>::poll
   4: shop::main::{{closure}}
   5: tokio::runtime::park::CachedParkThread::block_on
   6: __libc_start_main
   7: _start
";

    #[test]
    fn frames_of_the_program_come_first_and_last() {
        let frames = own_frames(BACKTRACE);
        assert!(frames.starts_with("   2: <shop::pay::Charge"), "{frames}");
        assert!(frames.contains("src/pay.rs:4:5") && !frames.contains("core::pin"), "{frames}");
        assert!(frames.contains("\n      1 frames between\n   4: shop::main"), "{frames}");
        assert!(frames.ends_with("shop::main::{{closure}}\n      3 frames of the runtime below"), "{frames}");
    }

    #[test]
    fn a_recursion_is_cut() {
        let deep: String = (0..1_000).fold(String::new(), |text, n| text + &format!("{n:4}: shop::walk\n"));
        let frames = own_frames(&deep);
        assert_eq!(frames.lines().count(), MAX_FRAMES + 1);
        assert!(frames.ends_with("936 frames more"), "{frames}");
    }

    #[test]
    fn a_backtrace_without_own_frames_stays_whole() {
        let plumbing = "   0: std::rt::lang_start\n   1: _start\n";
        assert_eq!(own_frames(plumbing), plumbing);
        assert_eq!(own_frames("disabled backtrace"), "disabled backtrace");
    }

    #[test]
    fn a_trace_is_cut_between_characters() {
        assert_eq!(bounded("ä".repeat(MAX)).len(), MAX);
        assert_eq!(bounded(format!("a{}", "ä".repeat(MAX))).len(), MAX - 1);
    }
}

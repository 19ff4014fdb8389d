//! What is shown of commands: their names, how many arguments they have, the digest of a script. Never a value.

use std::borrow::Cow;
use std::fmt::Write as _;

use redis::{Arg, Cmd, Pipeline};

use super::QueryText;

/// The longest `db.query.text`, in bytes.
const MAX_TEXT: usize = 1024;

/// The longest name of a command that is shown; Redis has none longer, and what is longer is no name.
const MAX_NAME: usize = 32;

/// Arguments of one command that are shown as `?` each.
const MAX_ARGUMENTS: usize = 16;

/// `db.operation.name` of what is no command.
const OTHER: &str = "_OTHER";

/// Commands whose arguments are secrets or say how the server is guarded: not even their number is shown.
const GUARDED: [&str; 4] = ["AUTH", "HELLO", "ACL", "CONFIG"];

/// Commands of two words, whose second says what is done.
const FAMILIES: [&str; 14] = [
    "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "OBJECT",
    "PUBSUB", "SCRIPT", "XGROUP", "XINFO",
];

/// Commands whose first argument is no key.
const KEYLESS: [&str; 24] = [
    "PING",
    "ECHO",
    "SELECT",
    "INFO",
    "EVAL",
    "EVALSHA",
    "EVAL_RO",
    "EVALSHA_RO",
    "FCALL",
    "FCALL_RO",
    "SCAN",
    "KEYS",
    "PUBLISH",
    "SPUBLISH",
    "SUBSCRIBE",
    "PSUBSCRIBE",
    "SSUBSCRIBE",
    "UNSUBSCRIBE",
    "WAIT",
    "XREAD",
    "XREADGROUP",
    "BITOP",
    "FLUSHDB",
    "FLUSHALL",
];

/// What a span shows of one command, or of several in one pipeline.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// `db.operation.name`, which is the span's name.
    pub(super) name: Cow<'static, str>,
    pub(super) text: Option<String>,
    /// The digest of a script that is run by it.
    pub(super) script: Option<String>,
    /// `db.operation.batch.size` of several.
    pub(super) batch: Option<usize>,
}

impl Shown {
    pub(super) fn of_command(command: &Cmd, text: QueryText) -> Self {
        let name = name(command);
        let text = (text != QueryText::Off).then(|| {
            let mut shown = String::new();
            describe(&mut shown, &name, command, text);
            bounded(shown)
        });
        Self { script: script(&name, command), name: name.into(), text, batch: None }
    }

    /// Redis has two words for several at once: `MULTI` where all or none are done, `PIPELINE` where they only travel
    /// together. What they have in common is named too.
    pub(super) fn of_pipeline(pipeline: &Pipeline, text: QueryText) -> Self {
        let word = if pipeline.is_transaction() { "MULTI" } else { "PIPELINE" };
        let mut commands = pipeline.cmd_iter();
        if let (1, Some(only), false) =
            (pipeline.len(), pipeline.cmd_iter().next(), pipeline.is_transaction())
        {
            return Self::of_command(only, text);
        }
        let first = pipeline.cmd_iter().next().map(name);
        let common = first.filter(|first| commands.all(|command| name(command) == *first));
        let name = common.map_or(Cow::Borrowed(word), |common| format!("{word} {common}").into());
        let text = (text != QueryText::Off).then(|| {
            let mut shown = String::new();
            for command in pipeline.cmd_iter() {
                if shown.len() > MAX_TEXT {
                    break;
                }
                if !shown.is_empty() {
                    shown.push('\n');
                }
                describe(&mut shown, &self::name(command), command, text);
            }
            bounded(shown)
        });
        Self { name, text, script: None, batch: Some(pipeline.len()) }
    }
}

/// The name of a command in capitals, with the second word of a family: `GET`, `CLIENT SETNAME`.
fn name(command: &Cmd) -> String {
    let mut words = command.args_iter().map(|argument| word(&argument));
    let Some(first) = words.next().flatten() else { return OTHER.to_owned() };
    if FAMILIES.contains(&first.as_str())
        && let Some(second) = words.next().flatten()
    {
        return format!("{first} {second}");
    }
    first
}

/// An argument as a word of a name; `None` for what cannot be one.
fn word(argument: &Arg<&[u8]>) -> Option<String> {
    let Arg::Simple(bytes) = *argument else { return None };
    let is_word = (1..=MAX_NAME).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
        && bytes.first().is_some_and(u8::is_ascii_alphabetic);
    is_word.then(|| String::from_utf8_lossy(bytes).to_ascii_uppercase())
}

/// The digest in `EVALSHA`.
fn script(name: &str, command: &Cmd) -> Option<String> {
    if !matches!(name, "EVALSHA" | "EVALSHA_RO") {
        return None;
    }
    let Arg::Simple(digest) = command.args_iter().nth(1)? else { return None };
    let is_digest = digest.len() == 40 && digest.iter().all(u8::is_ascii_hexdigit);
    is_digest.then(|| String::from_utf8_lossy(digest).into_owned())
}

/// Writes the name and what may be shown of the arguments.
fn describe(shown: &mut String, name: &str, command: &Cmd, text: QueryText) {
    shown.push_str(name);
    let words = name.split(' ').count();
    if name.split(' ').next().is_some_and(|first| GUARDED.contains(&first)) {
        return;
    }
    let mut arguments = command.args_iter().skip(words);
    let has_key = text == QueryText::Keys && words == 1 && !KEYLESS.contains(&name);
    if has_key && let Some(Arg::Simple(key)) = arguments.next() {
        // Writing to a String cannot fail.
        let _ = write!(
            shown,
            " {}",
            String::from_utf8_lossy(key.get(..key.len().min(MAX_TEXT)).unwrap_or_default())
        );
    }
    let count = arguments.len();
    shown.push_str(&" ?".repeat(count.min(MAX_ARGUMENTS)));
    if count > MAX_ARGUMENTS {
        shown.push_str(" ...");
    }
}

fn bounded(mut text: String) -> String {
    text.truncate(crate::base::redact::bounded_to(&text, MAX_TEXT).len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(command: &Cmd, text: QueryText) -> (String, Option<String>) {
        let shown = Shown::of_command(command, text);
        (shown.name.into_owned(), shown.text)
    }

    #[test]
    fn names_are_in_capitals_and_values_are_not_shown() {
        let mut set = redis::cmd("set");
        set.arg("price:prod456").arg("secret value").arg("PX").arg(500);
        assert_eq!(text(&set, QueryText::Masked), ("SET".to_owned(), Some("SET ? ? ? ?".to_owned())));
        assert_eq!(text(&set, QueryText::Keys).1, Some("SET price:prod456 ? ? ?".to_owned()));
        assert_eq!(text(&set, QueryText::Off).1, None);
    }

    #[test]
    fn what_carries_secrets_shows_its_name_alone() {
        let mut auth = redis::cmd("AUTH");
        auth.arg("waypost").arg("hunter2");
        let mut hello = redis::cmd("HELLO");
        hello.arg(3).arg("AUTH").arg("waypost").arg("hunter2");
        let mut acl = redis::cmd("ACL");
        acl.arg("SETUSER").arg("waypost").arg(">hunter2");
        let mut config = redis::cmd("CONFIG");
        config.arg("SET").arg("requirepass").arg("hunter2");
        for (command, name) in
            [(auth, "AUTH"), (hello, "HELLO"), (acl, "ACL SETUSER"), (config, "CONFIG SET")]
        {
            for setting in [QueryText::Masked, QueryText::Keys] {
                assert_eq!(text(&command, setting), (name.to_owned(), Some(name.to_owned())));
            }
        }
    }

    #[test]
    fn what_is_no_name_does_not_become_one() {
        for wrong in ["hunter2 hunter2", "", "4711", "ä", &"x".repeat(33)] {
            assert_eq!(text(&redis::cmd(wrong), QueryText::Masked).0, "_OTHER", "{wrong}");
        }
        assert_eq!(text(&Cmd::new(), QueryText::Masked).0, "_OTHER");
    }

    #[test]
    fn keys_are_shown_only_where_the_first_argument_is_one() {
        let mut echo = redis::cmd("ECHO");
        echo.arg("hunter2");
        assert_eq!(text(&echo, QueryText::Keys).1, Some("ECHO ?".to_owned()));
        let mut object = redis::cmd("OBJECT");
        object.arg("ENCODING").arg("key");
        assert_eq!(text(&object, QueryText::Keys).1, Some("OBJECT ENCODING ?".to_owned()));
    }

    #[test]
    fn a_script_is_known_by_its_digest() {
        let digest = "0123456789abcdef0123456789abcdef01234567";
        let mut run = redis::cmd("EVALSHA");
        run.arg(digest).arg(1).arg("key").arg("hunter2");
        let shown = Shown::of_command(&run, QueryText::Keys);
        assert_eq!((shown.script.as_deref(), shown.text.as_deref()), (Some(digest), Some("EVALSHA ? ? ? ?")));
        let mut inline = redis::cmd("EVAL");
        inline.arg("return 'hunter2'").arg(0);
        let shown = Shown::of_command(&inline, QueryText::Keys);
        assert_eq!((shown.script, shown.text.as_deref()), (None, Some("EVAL ? ?")));
    }

    #[test]
    fn a_pipeline_says_what_its_commands_have_in_common() {
        let mut same = redis::pipe();
        same.cmd("GET").arg("a").cmd("get").arg("b");
        let shown = Shown::of_pipeline(&same, QueryText::Masked);
        assert_eq!(
            (&*shown.name, shown.batch, shown.text.as_deref()),
            ("PIPELINE GET", Some(2), Some("GET ?\nGET ?"))
        );
        let mut mixed = redis::pipe();
        mixed.atomic().cmd("SET").arg("a").arg(1).cmd("INCR").arg("a");
        let shown = Shown::of_pipeline(&mixed, QueryText::Masked);
        assert_eq!(
            (&*shown.name, shown.batch, shown.text.as_deref()),
            ("MULTI", Some(2), Some("SET ? ?\nINCR ?"))
        );
        let mut one = redis::pipe();
        one.cmd("GET").arg("a");
        assert_eq!(
            (
                &*Shown::of_pipeline(&one, QueryText::Masked).name,
                Shown::of_pipeline(&one, QueryText::Masked).batch
            ),
            ("GET", None)
        );
    }

    #[test]
    fn the_text_is_bounded() {
        let mut long = redis::cmd("MSET");
        for number in 0..10_000 {
            long.arg(number);
        }
        assert_eq!(text(&long, QueryText::Masked).1, Some(format!("MSET{} ...", " ?".repeat(16))));
        let mut many = redis::pipe();
        for number in 0..1_000 {
            many.cmd("GET").arg(number);
        }
        assert!(Shown::of_pipeline(&many, QueryText::Masked).text.unwrap().len() <= MAX_TEXT);
    }
}

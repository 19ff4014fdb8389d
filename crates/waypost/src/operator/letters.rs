//! `waypost dead-letters`.

use super::admin::{Admin, Needs};
use super::args::{DeadLettersAction, DeadLettersArgs};
use super::dead_letter_report::{Letter, Letters, ReplayBody, ReplayedLetters};
use super::orders::show;
use super::text::{ago, moment, wrapped};
use crate::exit::{Exit, Failure};
use crate::settings::Environment;

const NEEDS: Needs = Needs {
    roles: "order or the notification role",
    start: "waypost up, or waypost run order notification ...",
};

/// Runs `waypost dead-letters`.
pub(crate) async fn dead_letters(
    args: DeadLettersArgs,
    admin: Admin,
    environment: &Environment,
) -> Result<Exit, Failure> {
    let json = args.admin.json;
    match args.action {
        DeadLettersAction::List => show(json, &all_waiting(&admin).await?, list_text)?,
        DeadLettersAction::Show { letter } => {
            let path = format!("/operator/dead-letters/letters/{}", in_path(&letter));
            show(json, &admin.get::<Letter>(&path, NEEDS).await?, whole_text)?;
        }
        DeadLettersAction::Replay { letters, all, asked } => {
            let asked = asked.asked(environment)?;
            let body = ReplayBody { by: asked.by, reason: asked.reason, letters, all };
            let replayed: ReplayedLetters = admin.post("/operator/dead-letters/replay", &body, NEEDS).await?;
            show(json, &replayed, replayed_text)?;
            if !replayed.unknown.is_empty() {
                return Ok(Exit::NotFound);
            }
        }
    }
    Ok(Exit::Done)
}

async fn all_waiting(admin: &Admin) -> Result<Letters, Failure> {
    let mut all: Letters = admin.get("/operator/dead-letters", NEEDS).await?;
    while let Some(after) = all.next.take() {
        let after: String = form_urlencoded::byte_serialize(after.as_bytes()).collect();
        let page: Letters = admin.get(&format!("/operator/dead-letters?after={after}"), NEEDS).await?;
        all.letters.extend(page.letters);
        all.next = page.next;
    }
    Ok(all)
}

/// A reference in a path; its slashes stay.
fn in_path(reference: &str) -> String {
    let encoded = |part: &str| {
        let encoded: String = form_urlencoded::byte_serialize(part.as_bytes()).collect();
        // The form of queries writes a space as `+`, which is a plain `+` in a path.
        encoded.replace('+', "%20")
    };
    reference.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

fn list_text(letters: &Letters) -> String {
    let head = match letters.total {
        0 => return "No dead letter waits.".to_owned(),
        1 => "1 dead letter waits.".to_owned(),
        total => format!("{total} dead letters wait."),
    };
    let texts = letters.letters.iter().map(letter_text);
    std::iter::once(head).chain(texts).collect::<Vec<_>>().join("\n\n")
}

fn letter_text(letter: &Letter) -> String {
    let place = match (letter.partition, letter.offset) {
        (Some(partition), Some(offset)) => {
            format!("{}, partition {partition}, offset {offset}", letter.topic)
        }
        _ => letter.topic.clone(),
    };
    let tries = match letter.attempts {
        // It never left, or nobody counted.
        0 => String::new(),
        1 => ", 1 try".to_owned(),
        tries => format!(", {tries} tries"),
    };
    let since = format!("{} ({}){tries}", moment(letter.since), ago(letter.since));
    let reason = match letter.error_type.as_str() {
        "" => letter.reason.clone(),
        error_type => format!("{} ({error_type})", letter.reason),
    };
    let mut lines = vec![
        wrapped("", &letter.letter),
        wrapped("  topic   ", &place),
        wrapped("  event   ", &letter.event_id),
        wrapped("  key     ", &letter.key),
        wrapped("  since   ", &since),
        wrapped("  by      ", &letter.group),
        wrapped("  reason  ", &reason),
    ];
    if let Some(replay) = &letter.replay {
        let replay = format!("{} by {}: {}", moment(replay.at), replay.by, replay.reason);
        lines.push(wrapped("  again   ", &replay));
    }
    lines.join("\n")
}

fn whole_text(letter: &Letter) -> String {
    let mut lines = vec![letter_text(letter)];
    if let Some(content) = &letter.content {
        lines.push("\nHeaders".to_owned());
        lines.extend(content.headers.iter().map(|(name, value)| wrapped(&format!("  {name}: "), value)));
        let title = if content.payload_is_text { "Payload" } else { "Payload, hexadecimal" };
        lines.push(format!("\n{title}"));
        // As it is: to be copied.
        lines.push(
            content.payload.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect(),
        );
    }
    lines.join("\n")
}

fn replayed_text(replayed: &ReplayedLetters) -> String {
    let ReplayedLetters { replayed, before, unknown } = replayed;
    let mut lines = vec![match replayed.len() {
        1 => "1 letter was published again.".to_owned(),
        count => format!("{count} letters were published again."),
    }];
    lines.extend(before.iter().map(|letter| wrapped("  ", &format!("{letter}: published again before"))));
    lines.extend(unknown.iter().map(|letter| wrapped("  ", &format!("{letter}: there is no such letter"))));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_keeps_its_slashes_in_a_path() {
        assert_eq!(in_path("order-events/2/17"), "order-events/2/17");
        assert_eq!(in_path("a b?/1/2"), "a%20b%3F/1/2");
    }
}

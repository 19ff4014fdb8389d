//! `${NAME}`, `${env:NAME}` and `${NAME:-default}` in a text; `$$` is a `$`.
//!
//! <https://opentelemetry.io/docs/specs/otel/configuration/data-model/#environment-variable-substitution>. What a
//! variable holds is not looked at again, so it can bring in neither another variable nor structure.

/// The text with its variables put in; the reason if a reference is malformed.
pub(super) fn substituted(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    // What an escape leaves does not count as the start of a reference, so the text falls into pieces there.
    let pieces: Result<Vec<String>, String> = text.split("$$").map(|piece| in_piece(piece, lookup)).collect();
    Ok(pieces?.join("$"))
}

fn in_piece(piece: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let (mut done, mut rest) = (String::new(), piece);
    while let Some((before, after)) = rest.split_once("${") {
        let Some((reference, behind)) = after.split_once('}').filter(|(reference, _)| !reference.is_empty())
        else {
            done.push_str(before);
            done.push_str("${");
            rest = after;
            continue;
        };
        let (name, default) =
            parts(reference).or_else(|| parts(reference.strip_prefix("env:")?)).ok_or_else(|| {
                format!("`${{{reference}}}` is not a reference such as ${{NAME}} or ${{NAME:-default}}")
            })?;
        done.push_str(before);
        done.push_str(&lookup(name).unwrap_or_else(|| default.to_owned()));
        rest = behind;
    }
    done.push_str(rest);
    Ok(done)
}

/// Name and default.
fn parts(reference: &str) -> Option<(&str, &str)> {
    let end = reference.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let (name, rest) = reference.split_at(end.unwrap_or(reference.len()));
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let default = if rest.is_empty() { "" } else { rest.strip_prefix(":-")? };
    Some((name, default))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_variables(text: &str) -> Result<String, String> {
        let lookup = |name: &str| {
            let value = match name {
                "STRING_VALUE" => "value",
                "FLOAT_VALUE" => "1.1",
                "REPLACE_ME" => "${DO_NOT_REPLACE_ME}",
                "VALUE_WITH_ESCAPE" => "value$$",
                "DO_NOT_REPLACE_ME" => "Never use this value",
                _ => return None,
            };
            Some(value.to_owned())
        };
        substituted(text, &lookup)
    }

    /// The examples of the specification.
    #[test]
    fn references_become_values_once() {
        for (input, output) in [
            ("${STRING_VALUE}", "value"),
            ("${env:STRING_VALUE}", "value"),
            ("foo ${STRING_VALUE} ${FLOAT_VALUE}", "foo value 1.1"),
            ("${UNDEFINED_KEY}", ""),
            ("${UNDEFINED_KEY:-fallback}", "fallback"),
            ("${REPLACE_ME}", "${DO_NOT_REPLACE_ME}"),
            ("${UNDEFINED_KEY:-${STRING_VALUE}}", "${STRING_VALUE}"),
            ("$${STRING_VALUE}", "${STRING_VALUE}"),
            ("$$${STRING_VALUE}", "$value"),
            ("$$$${STRING_VALUE}", "$${STRING_VALUE}"),
            ("$${STRING_VALUE:-fallback}", "${STRING_VALUE:-fallback}"),
            ("$${STRING_VALUE:-${STRING_VALUE}}", "${STRING_VALUE:-value}"),
            ("${UNDEFINED_KEY:-$${UNDEFINED_KEY}}", "${UNDEFINED_KEY:-${UNDEFINED_KEY}}"),
            ("${VALUE_WITH_ESCAPE}", "value$$"),
            ("a $ b ${", "a $ b ${"),
        ] {
            assert_eq!(with_variables(input).as_deref(), Ok(output), "{input}");
        }
    }

    #[test]
    fn a_malformed_reference_is_an_error() {
        for input in ["${STRING_VALUE:?error}", "${1API_KEY}", "${API_$KEY}", "${sys:user.name}"] {
            assert!(with_variables(input).is_err(), "{input}");
        }
    }
}

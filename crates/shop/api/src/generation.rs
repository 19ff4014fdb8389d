//! Which attempt of an order's saga a request belongs to.

use std::fmt;

/// Longest key of a step, in bytes.
const MAX_KEY_LENGTH: usize = 255;

/// Which attempt of an order's saga a request belongs to: the last part of each step's key (`order:step:generation`).
///
/// A lower one than the newest is the past: it may end what it began, never begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u32);

impl Generation {
    /// A generation by its number.
    pub const fn new(number: u32) -> Generation {
        Generation(number)
    }

    /// The generation of a step's key: 2 of `order:reserve:2`. `None` when the text is no such key.
    pub fn of_key(key: &str) -> Option<Generation> {
        let is_plain = key.len() <= MAX_KEY_LENGTH && key.bytes().all(|byte| byte.is_ascii_graphic());
        let (_, number) = key.rsplit_once(':')?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        number.parse().ok().filter(|_| is_plain && is_number).map(Generation)
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_is_the_last_part_of_a_key() {
        assert_eq!(Generation::of_key("order-1:reserve:7"), Some(Generation(7)));
        for key in ["", "7", "order:", "order:x", "order:-1", "order:+1", "order:4294967296", "o r:1", "ö:1"]
        {
            assert_eq!(Generation::of_key(key), None, "{key:?}");
        }
        assert_eq!(Generation::of_key(&format!("{}:1", "a".repeat(254))), None);
    }
}

//! Which orders a load run places: stories with a share each.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use http::StatusCode;

/// One kind of order, and what the gateway is expected to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Story {
    Success,
    OutOfStock,
    Declined,
    Slow,
    Timeout,
}

impl Story {
    pub(crate) const ALL: [Story; 5] =
        [Story::Success, Story::OutOfStock, Story::Declined, Story::Slow, Story::Timeout];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Story::Success => "success",
            Story::OutOfStock => "out-of-stock",
            Story::Declined => "declined",
            Story::Slow => "slow",
            Story::Timeout => "timeout",
        }
    }

    /// The demo user who lives this story.
    pub(crate) fn user(self) -> &'static str {
        match self {
            Story::Success | Story::OutOfStock => "user123",
            Story::Declined => "user-declined",
            Story::Slow => "user-slow",
            Story::Timeout => "user-timeout",
        }
    }

    /// The order as JSON.
    pub(crate) fn body(self) -> Bytes {
        let (product, quantity, amount) = match self {
            Story::OutOfStock => ("prod-soldout", 1, "89.00"),
            _ => ("prod456", 2, "99.99"),
        };
        let user = self.user();
        Bytes::from(format!(
            r#"{{"user_id":"{user}","product_id":"{product}","quantity":{quantity},"amount":{amount}}}"#
        ))
    }

    /// True for an answer that this story explains. An order that is not settled at the deadline goes on
    /// without the client (202) and is no failure.
    pub(crate) fn explains(self, status: StatusCode, code: &str) -> bool {
        match self {
            Story::Success | Story::Slow => status == StatusCode::CREATED || status == StatusCode::ACCEPTED,
            Story::OutOfStock => code == "out_of_stock",
            Story::Declined => code == "payment_declined",
            Story::Timeout => status.is_success() || code == "order_failed",
        }
    }
}

/// Stories with their shares, written `success=90,out-of-stock=5,declined=5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mix {
    shares: Vec<(Story, u32)>,
}

/// Why a mix cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MixError {
    #[error("`{0}` is not of the form story=share")]
    Form(String),
    #[error("`{0}` is not a story; there are success, out-of-stock, declined, slow and timeout")]
    Story(String),
    #[error("`{0}` is not a share from 0 to 1000")]
    Share(String),
    #[error("the story `{0}` stands twice")]
    Twice(&'static str),
    #[error("the shares add up to 0")]
    Nothing,
}

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Mix, MixError> {
        let mut shares: Vec<(Story, u32)> = Vec::new();
        for part in text.split(',') {
            let (name, share) = part.trim().split_once('=').ok_or_else(|| MixError::Form(part.to_owned()))?;
            let story = Story::ALL.into_iter().find(|story| story.name() == name.trim());
            let story = story.ok_or_else(|| MixError::Story(name.to_owned()))?;
            let share = share.trim().parse().ok().filter(|share| *share <= 1000);
            let share = share.ok_or_else(|| MixError::Share(part.to_owned()))?;
            if shares.iter().any(|(known, _)| *known == story) {
                return Err(MixError::Twice(story.name()));
            }
            shares.push((story, share));
        }
        if shares.iter().all(|(_, share)| *share == 0) {
            return Err(MixError::Nothing);
        }
        Ok(Mix { shares })
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shares: Vec<String> =
            self.shares.iter().map(|(story, share)| format!("{}={share}", story.name())).collect();
        f.write_str(&shares.join(","))
    }
}

impl Mix {
    /// The stories that occur.
    pub(crate) fn stories(&self) -> impl Iterator<Item = Story> + '_ {
        self.shares.iter().filter(|(_, share)| *share > 0).map(|(story, _)| *story)
    }

    /// A sequence to be repeated, in which each story stands as often as its share says, shuffled the same way
    /// every time so that two runs place the same orders.
    pub(crate) fn sequence(&self) -> Vec<Story> {
        let repeated = |(story, share): &(Story, u32)| std::iter::repeat_n(*story, *share as usize);
        let mut sequence: Vec<Story> = self.shares.iter().flat_map(repeated).collect();
        fastrand::Rng::with_seed(1).shuffle(&mut sequence);
        sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_places_each_story_as_often_as_its_share_says() {
        let mix: Mix = "success=90,out-of-stock=5, declined=5".parse().unwrap();
        let sequence = mix.sequence();
        assert_eq!(sequence.len(), 100);
        assert_eq!(sequence.iter().filter(|story| **story == Story::OutOfStock).count(), 5);
        assert_eq!(sequence, mix.sequence());
        assert_eq!(mix.to_string(), "success=90,out-of-stock=5,declined=5");
    }

    #[test]
    fn a_mix_that_makes_no_sense_is_refused() {
        let refused = |text: &str| text.parse::<Mix>().unwrap_err();
        assert_eq!(refused("success"), MixError::Form("success".to_owned()));
        assert_eq!(refused("sucess=1"), MixError::Story("sucess".to_owned()));
        assert_eq!(refused("success=-1"), MixError::Share("success=-1".to_owned()));
        assert_eq!(refused("success=1,success=2"), MixError::Twice("success"));
        assert_eq!(refused("success=0"), MixError::Nothing);
    }
}

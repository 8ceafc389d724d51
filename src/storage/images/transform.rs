//! What can be asked of a picture.

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::storage::error::StorageError;

/// The longest side that is made.
const LONGEST_SIDE: u32 = 2500;
const DEFAULT_QUALITY: u32 = 80;

/// What is to be made of a picture; nothing named leaves it in its size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub(in crate::storage) struct Transform {
    /// 1 to 2,500 pixels; more counts as 2,500.
    #[serde(default, deserialize_with = "number", skip_serializing_if = "Option::is_none")]
    width: Option<i64>,
    /// 1 to 2,500 pixels; more counts as 2,500.
    #[serde(default, deserialize_with = "number", skip_serializing_if = "Option::is_none")]
    height: Option<i64>,
    /// How it gets there: `cover` crops, `contain` keeps all of it, `fill` stretches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resize: Option<Resize>,
    /// 20 to 100; 80 when absent.
    #[serde(default, deserialize_with = "number", skip_serializing_if = "Option::is_none")]
    quality: Option<i64>,
    /// `webp`, or `origin` for the format it has. When absent, WebP for clients that accept it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<Format>,
    /// The side that stays when `cover` crops: `ce`, `no`, `so`, `ea`, `we`, `noea`, `nowe`, `soea`, `sowe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gravity: Option<Gravity>,
}

/// How a picture gets into its new size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Resize {
    /// What does not fit is cut off.
    #[default]
    Cover,
    /// All of it is there, within the size.
    Contain,
    /// It is stretched.
    Fill,
}

/// A format to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// The one it has.
    Origin,
    /// WebP.
    Webp,
    /// Is not made: the answer is as for `origin`.
    Avif,
}

/// The side that stays: a point of the compass, or the centre.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Gravity {
    #[default]
    Ce,
    No,
    So,
    Ea,
    We,
    Noea,
    Nowe,
    Soea,
    Sowe,
}

impl Gravity {
    /// How much of what is cut off is cut at the left, and at the top.
    pub(super) fn shares(self) -> (f64, f64) {
        let across = match self {
            Self::We | Self::Nowe | Self::Sowe => 0.0,
            Self::Ea | Self::Noea | Self::Soea => 1.0,
            Self::Ce | Self::No | Self::So => 0.5,
        };
        let down = match self {
            Self::No | Self::Noea | Self::Nowe => 0.0,
            Self::So | Self::Soea | Self::Sowe => 1.0,
            Self::Ce | Self::Ea | Self::We => 0.5,
        };
        (across, down)
    }
}

/// Queries have texts, and bodies numbers.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = match &value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.map(Some).ok_or_else(|| de::Error::custom(format!("{value} is no whole number")))
}

impl Transform {
    /// Whether nothing is asked for.
    pub(in crate::storage) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses what can't be meant.
    pub(in crate::storage) fn check(&self) -> Result<(), StorageError> {
        for (name, side) in [("width", self.width), ("height", self.height)] {
            if side.is_some_and(|side| side < 1) {
                return Err(StorageError::invalid(format!("{name} must be 1 or more")));
            }
        }
        match self.quality {
            Some(quality) if !(20..=100).contains(&quality) => Err(StorageError::invalid("quality must be 20 to 100")),
            _ => Ok(()),
        }
    }

    pub(super) fn width(&self) -> Option<u32> {
        self.width.map(clamp)
    }

    pub(super) fn height(&self) -> Option<u32> {
        self.height.map(clamp)
    }

    pub(super) fn resize(&self) -> Resize {
        self.resize.unwrap_or_default()
    }

    pub(super) fn gravity(&self) -> Gravity {
        self.gravity.unwrap_or_default()
    }

    pub(super) fn quality(&self) -> u8 {
        u8::try_from(self.quality.unwrap_or_else(|| DEFAULT_QUALITY.into())).unwrap_or(100)
    }

    /// Whether it is to be WebP, for a client that accepts it or not.
    pub(super) fn wants_webp(&self, is_accepted: bool) -> bool {
        match self.format {
            Some(Format::Webp) => true,
            Some(Format::Origin | Format::Avif) => false,
            None => is_accepted,
        }
    }

    /// Whether the answer depends on what the client accepts.
    pub(super) fn is_open(&self) -> bool {
        self.format.is_none()
    }

    /// What is done, in the words of `X-Transformations`.
    pub(super) fn told(&self) -> String {
        let mut told = Vec::new();
        told.extend(self.height().map(|height| format!("height:{height}")));
        told.extend(self.width().map(|width| format!("width:{width}")));
        if self.width.or(self.height).is_some() {
            let kind = match self.resize() {
                Resize::Cover => "fill",
                Resize::Contain => "fit",
                Resize::Fill => "force",
            };
            told.push(format!("resizing_type:{kind}"));
        }
        told.extend(self.quality.map(|quality| format!("quality:{quality}")));
        if self.format == Some(Format::Webp) {
            told.push("format:webp".to_owned());
        }
        if let Some(gravity) = self.gravity {
            told.push(format!(
                "gravity:{}",
                serde_json::to_value(gravity).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
            ));
        }
        told.join(",")
    }
}

fn clamp(side: i64) -> u32 {
    u32::try_from(side).unwrap_or(LONGEST_SIDE).clamp(1, LONGEST_SIDE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Transform, String> {
        let transform: Transform = serde_json::from_value(value).map_err(|error| error.to_string())?;
        transform.check().map_err(|error| error.to_string())?;
        Ok(transform)
    }

    #[test]
    fn what_is_done_is_told_in_one_order() {
        let told = |value| read(value).unwrap().told();
        assert_eq!(told(json!({ "width": 200, "height": "200", "quality": 60 })), "height:200,width:200,resizing_type:fill,quality:60");
        assert_eq!(told(json!({ "width": 9000, "resize": "contain" })), "width:2500,resizing_type:fit");
        assert_eq!(
            told(json!({ "height": 1, "resize": "fill", "format": "webp", "gravity": "noea" })),
            "height:1,resizing_type:force,format:webp,gravity:noea"
        );
        assert_eq!(told(json!({ "format": "origin" })), "");
    }

    #[test]
    fn what_can_not_be_meant_is_refused_by_name() {
        for (value, name) in [
            (json!({ "width": -1 }), "width"),
            (json!({ "height": 0 }), "height"),
            (json!({ "quality": 19 }), "quality"),
            (json!({ "quality": 101 }), "quality"),
            (json!({ "width": 1.5 }), "whole"),
            (json!({ "width": "1e309" }), "whole"),
            (json!({ "resize": "crop" }), "crop"),
            (json!({ "format": "gif" }), "gif"),
        ] {
            let refusal = read(value.clone()).unwrap_err();
            assert!(refusal.contains(name), "{value}: {refusal}");
        }
    }
}

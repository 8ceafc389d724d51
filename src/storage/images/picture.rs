//! From the bytes of one picture to those of another.

use std::io::Cursor;

use fast_image_resize::{PixelType, ResizeOptions, Resizer, images::Image};
use image::{
    DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, RgbaImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
};

use super::transform::{Resize, Transform};

/// What may be kept of a picture besides its pixels: texts, profiles, tables.
const MOST_BESIDES: u64 = 32 * 1024 * 1024;
/// The longest side of a source, whatever its other side is.
const LONGEST_SIDE: u32 = 65_535;

/// A picture that was made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) format: MadeFormat,
    pub(super) bytes: Vec<u8>,
}

/// The formats that are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MadeFormat {
    Png,
    Jpeg,
    Gif,
    Webp,
}

impl MadeFormat {
    pub(super) const ALL: [Self; 4] = [Self::Png, Self::Jpeg, Self::Gif, Self::Webp];

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
        }
    }

    /// How its files end.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Gif => "gif",
            Self::Webp => "webp",
        }
    }

    /// The format of a source, or the one that comes nearest.
    fn of(source: ImageFormat) -> Self {
        match source {
            ImageFormat::Jpeg => Self::Jpeg,
            ImageFormat::Gif => Self::Gif,
            ImageFormat::WebP => Self::Webp,
            _ => Self::Png,
        }
    }
}

/// Makes a picture; `None` when the source is none that can be read, or has more pixels than it may.
pub(super) fn make(source: &[u8], transform: &Transform, webp: bool, max_pixels: u64) -> Option<Made> {
    let (picture, format) = decode(source, max_pixels)?;
    let picture = resize(picture.into_rgba8(), transform)?;
    let format = if webp { MadeFormat::Webp } else { MadeFormat::of(format) };
    encode(picture, format, transform.quality()).map(|bytes| Made { format, bytes })
}

/// Room is made for the pixels only after the head has said how many there are.
fn decode(source: &[u8], max_pixels: u64) -> Option<(DynamicImage, ImageFormat)> {
    let mut reader = ImageReader::new(Cursor::new(source)).with_guessed_format().ok()?;
    let format = reader.format()?;
    let mut limits = Limits::no_limits();
    (limits.max_image_width, limits.max_image_height) = (Some(LONGEST_SIDE), Some(LONGEST_SIDE));
    limits.max_alloc = Some(MOST_BESIDES);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    let bytes = decoder.total_bytes();
    if width == 0 || height == 0 || u64::from(width) * u64::from(height) > max_pixels || bytes > max_pixels.saturating_mul(4) {
        return None;
    }
    limits.max_alloc = Some(bytes.saturating_add(bytes / 2).saturating_add(MOST_BESIDES));
    decoder.set_limits(limits).ok()?;
    let orientation = decoder.orientation().ok();
    let mut picture = DynamicImage::from_decoder(decoder).ok()?;
    if let Some(orientation) = orientation {
        picture.apply_orientation(orientation);
    }
    Some((picture, format))
}

/// The part of a source that is used: left, top, width, height; and the size that it gets.
type Plan = ((f64, f64, f64, f64), (u32, u32));

fn resize(source: RgbaImage, transform: &Transform) -> Option<RgbaImage> {
    let (width, height) = source.dimensions();
    let ((left, top, part_width, part_height), (to_width, to_height)) = plan((width, height), transform);
    if (to_width, to_height) == (width, height) {
        return Some(source);
    }
    let source = Image::from_vec_u8(width, height, source.into_raw(), PixelType::U8x4).ok()?;
    let mut target = Image::new(to_width, to_height, PixelType::U8x4);
    Resizer::new().resize(&source, &mut target, &ResizeOptions::new().crop(left, top, part_width, part_height)).ok()?;
    RgbaImage::from_raw(to_width, to_height, target.into_vec())
}

/// A picture becomes larger only when it is stretched.
fn plan((width, height): (u32, u32), transform: &Transform) -> Plan {
    let (from_width, from_height) = (f64::from(width), f64::from(height));
    let whole = (0.0, 0.0, from_width, from_height);
    let (wanted_width, wanted_height) = match (transform.width(), transform.height()) {
        (None, None) => return (whole, (width, height)),
        (Some(wanted), None) => (f64::from(wanted), f64::from(wanted) * from_height / from_width),
        (None, Some(wanted)) => (f64::from(wanted) * from_width / from_height, f64::from(wanted)),
        (Some(wanted_width), Some(wanted_height)) => (f64::from(wanted_width), f64::from(wanted_height)),
    };
    let (across, down) = (wanted_width / from_width, wanted_height / from_height);
    match transform.resize() {
        Resize::Fill => (whole, (side(wanted_width), side(wanted_height))),
        Resize::Contain => {
            let scale = across.min(down).min(1.0);
            (whole, (side(from_width * scale), side(from_height * scale)))
        }
        Resize::Cover => {
            let shrink = 1.0_f64.min(1.0 / across.max(down));
            let (to_width, to_height) = (wanted_width * shrink, wanted_height * shrink);
            let scale = (to_width / from_width).max(to_height / from_height);
            let (part_width, part_height) = ((to_width / scale).min(from_width), (to_height / scale).min(from_height));
            let (at_left, at_top) = transform.gravity().shares();
            let part = ((from_width - part_width) * at_left, (from_height - part_height) * at_top, part_width, part_height);
            (part, (side(to_width), side(to_height)))
        }
    }
}

/// A side has at least one pixel, and never more than can be asked for of a source.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is rounded and within bounds")]
fn side(length: f64) -> u32 {
    length.round().clamp(1.0, f64::from(LONGEST_SIDE)) as u32
}

fn encode(picture: RgbaImage, format: MadeFormat, quality: u8) -> Option<Vec<u8>> {
    let (width, height) = picture.dimensions();
    let mut bytes = Vec::new();
    match format {
        MadeFormat::Webp => {
            return webp::Encoder::from_rgba(&picture, width, height).encode_simple(false, f32::from(quality)).ok().map(|made| made.to_vec());
        }
        MadeFormat::Jpeg => DynamicImage::from(picture).into_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality)).ok()?,
        MadeFormat::Png => picture.write_with_encoder(PngEncoder::new(&mut bytes)).ok()?,
        MadeFormat::Gif => picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Gif).ok()?,
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn sizes(from: (u32, u32), asked: Value) -> (u32, u32) {
        plan(from, &serde_json::from_value(asked).unwrap()).1
    }

    #[test]
    fn sizes_are_those_that_were_asked_for() {
        for (from, asked, to) in [
            ((400, 200), json!({}), (400, 200)),
            ((400, 200), json!({ "width": 100 }), (100, 50)),
            ((400, 200), json!({ "height": 100 }), (200, 100)),
            ((400, 200), json!({ "width": 100, "height": 100 }), (100, 100)),
            ((400, 200), json!({ "width": 100, "height": 100, "resize": "contain" }), (100, 50)),
            ((400, 200), json!({ "width": 1000, "height": 100, "resize": "fill" }), (1000, 100)),
            ((40, 20), json!({ "width": 1000, "resize": "contain" }), (40, 20)),
            ((40, 20), json!({ "width": 1000, "height": 1000 }), (20, 20)),
            ((40, 20), json!({ "width": 30, "height": 30 }), (20, 20)),
            ((10_000, 1), json!({ "width": 10, "resize": "contain" }), (10, 1)),
        ] {
            assert_eq!(sizes(from, asked.clone()), to, "{from:?} {asked}");
        }
    }

    #[test]
    fn what_is_cut_off_is_cut_off_where_it_should_be() {
        let part = |gravity: &str| plan((400, 200), &serde_json::from_value(json!({ "width": 100, "height": 100, "gravity": gravity })).unwrap()).0;
        assert_eq!(part("ce"), (100.0, 0.0, 200.0, 200.0));
        assert_eq!(part("we"), (0.0, 0.0, 200.0, 200.0));
        assert_eq!(part("soea"), (200.0, 0.0, 200.0, 200.0));
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        RgbaImage::from_pixel(width, height, image::Rgba([9, 80, 200, 255])).write_with_encoder(PngEncoder::new(&mut bytes)).unwrap();
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_no_picture_makes_none_and_nothing_breaks(at in 8_usize..60, byte in any::<u8>(), cut in 0_usize..80) {
            let mut bytes = png(12, 9);
            let at = at.min(bytes.len() - 1);
            bytes[at] = byte;
            bytes.truncate(bytes.len().saturating_sub(cut));
            let asked: Transform = serde_json::from_value(json!({ "width": 4 })).unwrap();
            if let Some(made) = make(&bytes, &asked, false, 1000) {
                prop_assert_eq!(made.format, MadeFormat::Png);
            }
        }

        #[test]
        fn every_plan_stays_within_its_source(
            width in 1_u32..3000, height in 1_u32..3000, to_width in prop::option::of(1_i64..4000), to_height in prop::option::of(1_i64..4000),
            resize in prop::sample::select(vec!["cover", "contain", "fill"]), gravity in prop::sample::select(vec!["ce", "no", "soea"]),
        ) {
            let asked = json!({ "width": to_width, "height": to_height, "resize": resize, "gravity": gravity });
            let ((left, top, part_width, part_height), (to_width, to_height)) = plan((width, height), &serde_json::from_value(asked).unwrap());
            prop_assert!(left >= 0.0 && top >= 0.0 && part_width > 0.0 && part_height > 0.0);
            prop_assert!(left + part_width <= f64::from(width) + 1e-6 && top + part_height <= f64::from(height) + 1e-6);
            prop_assert!(to_width >= 1 && to_height >= 1);
        }
    }
}

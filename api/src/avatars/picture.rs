//! What becomes of an uploaded picture: a small square JPEG of its middle. It is drawn anew, so nothing else of the file
//! is kept: no place, no camera, no bytes behind the picture. Pure; it takes a core and some memory for a moment.

use image::{
    DynamicImage, GenericImageView as _, ImageDecoder as _, ImageReader, Limits, Rgb, RgbImage,
    RgbaImage, codecs::jpeg::JpegEncoder, error::ImageError, imageops, metadata::Orientation,
};
use std::io::Cursor;

/// The side of a kept picture in pixels: sharp on a phone's screen at the size of a profile, some 15 KB.
pub(super) const SIDE: u32 = 256;

/// Of 100. Below it edges show.
const QUALITY: u8 = 85;

/// The most bytes of a decoded pixel: four channels of 16 bits.
const BYTES_OF_A_PIXEL: u64 = 8;

/// Why nothing can be drawn of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is no picture of a kind that we read, or only a part of one.
    Unreadable,
    /// It has more pixels than one picture may have. Its head says so: nothing was decoded.
    TooLarge,
}

/// The picture to keep.
pub(super) fn draw(original: &[u8], max_pixels: u32) -> Result<Vec<u8>, Unfit> {
    let (picture, orientation) = read(original, max_pixels)?;
    // In the file's own orientation, because turning the whole would need its memory twice. The middle is the same.
    let mut square = DynamicImage::from(middle(&picture));
    drop(picture);
    square.apply_orientation(orientation);
    let mut kept = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut kept, QUALITY);
    let opaque = on_white(&square.into_rgba8());
    opaque.write_with_encoder(encoder).map_err(|_| Unfit::Unreadable)?;
    Ok(kept)
}

/// The square in its middle, small. It is looked at in its place: a copy would need its memory twice, too.
fn middle(picture: &DynamicImage) -> RgbaImage {
    let (width, height) = picture.dimensions();
    let side = width.min(height);
    let square = imageops::crop_imm(picture, (width - side) / 2, (height - side) / 2, side, side);
    imageops::thumbnail(&*square, SIDE, SIDE)
}

/// The file's first picture, and how it is to be turned.
fn read(original: &[u8], max_pixels: u32) -> Result<(DynamicImage, Orientation), Unfit> {
    // By what is in it, whatever it is called. The kinds are the features of `image` in the manifest.
    let mut reader = ImageReader::new(Cursor::new(original))
        .with_guessed_format()
        .map_err(|_| Unfit::Unreadable)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(u64::from(max_pixels) * BYTES_OF_A_PIXEL);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(unfit)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > u64::from(max_pixels) {
        return Err(Unfit::TooLarge);
    }
    if width.min(height) == 0 {
        return Err(Unfit::Unreadable);
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let picture = DynamicImage::from_decoder(decoder).map_err(unfit)?;
    Ok((picture, orientation))
}

fn unfit(error: ImageError) -> Unfit {
    match error {
        ImageError::Limits(_) => Unfit::TooLarge,
        _ => Unfit::Unreadable,
    }
}

/// JPEG knows no transparency, and a page may be light or dark.
fn on_white(picture: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [red, green, blue, alpha] = picture.get_pixel(x, y).0.map(u32::from);
        let over = |value: u32| ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        Rgb([over(red), over(green), over(blue)])
    })
}

#[cfg(test)]
mod tests;

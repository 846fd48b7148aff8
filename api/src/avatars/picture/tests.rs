//! Pictures of every kind, turned ones, transparent ones, and files that are none.

use super::*;
use image::{ImageFormat, Rgba, RgbaImage};

const MOST: u32 = 1_000_000;
const RED: [u8; 3] = [220, 30, 30];
const BLUE: [u8; 3] = [30, 30, 220];

/// Red on the left, blue on the right, in its middle third; black beside that.
fn wide() -> RgbImage {
    RgbImage::from_fn(900, 300, |x, _| match x {
        300..450 => Rgb(RED),
        450..600 => Rgb(BLUE),
        _ => Rgb([0; 3]),
    })
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn drawn(file: &[u8]) -> RgbImage {
    let kept = draw(file, MOST).unwrap();
    assert!(kept.starts_with(&[0xff, 0xd8, 0xff]), "a JPEG");
    image::load_from_memory(&kept).unwrap().to_rgb8()
}

#[track_caller]
fn is_about(picture: &RgbImage, (x, y): (u32, u32), wanted: [u8; 3]) {
    let got = picture.get_pixel(x, y).0;
    let near = got.iter().zip(wanted).all(|(got, wanted)| got.abs_diff(wanted) < 25);
    assert!(near, "{got:?} at {x}, {y}, and not {wanted:?}");
}

#[test]
fn of_every_kind_the_middle_is_kept() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif] {
        let picture = drawn(&encoded(&wide().into(), format));
        assert_eq!(picture.dimensions(), (SIDE, SIDE), "{format:?}");
        is_about(&picture, (10, 128), RED);
        is_about(&picture, (245, 128), BLUE);
    }
}

#[test]
fn a_small_one_grows_and_what_is_transparent_is_white() {
    let half = RgbaImage::from_fn(8, 8, |_, y| match y {
        0..4 => Rgba([RED[0], RED[1], RED[2], 255]),
        _ => Rgba([0; 4]),
    });
    let picture = drawn(&encoded(&half.into(), ImageFormat::Png));
    assert_eq!(picture.dimensions(), (SIDE, SIDE));
    is_about(&picture, (128, 20), RED);
    is_about(&picture, (128, 240), [255; 3]);
}

/// A JPEG that says in its EXIF block which way up it is, and where it was taken.
fn turned(orientation: u8) -> Vec<u8> {
    let plain = encoded(&wide().into(), ImageFormat::Jpeg);
    let mut tiff = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    tiff.extend([orientation, 0, 0, 0, 0, 0, 0]);
    tiff.extend(b"at home in Elm Street");
    let length = u16::try_from(tiff.len() + 2).unwrap().to_be_bytes();
    [&plain[..2], &[0xff, 0xe1], &length[..], &tiff, &plain[2..], b"behind the picture"].concat()
}

#[test]
fn it_is_turned_as_the_camera_says_and_nothing_else_of_the_file_stays() {
    // Taken with the camera on its side: what was left is at the top.
    let picture = drawn(&turned(6));
    is_about(&picture, (128, 10), RED);
    is_about(&picture, (128, 245), BLUE);
    is_about(&drawn(&turned(3)), (10, 128), BLUE);
    let kept = draw(&turned(6), MOST).unwrap();
    for secret in [&b"Exif"[..], b"Elm Street", b"behind"] {
        assert!(!kept.windows(secret.len()).any(|part| part == secret), "{secret:?}");
    }
}

/// Made as wide as is kept, it would be a million pixels high.
#[test]
fn of_a_thread_the_middle_is_kept_too() {
    let thread = RgbImage::from_fn(1, 4096, |_, y| if y == 2047 { Rgb(RED) } else { Rgb(BLUE) });
    for format in [ImageFormat::Png, ImageFormat::Gif] {
        let picture = drawn(&encoded(&thread.clone().into(), format));
        assert_eq!(picture.dimensions(), (SIDE, SIDE));
        is_about(&picture, (128, 128), RED);
    }
}

#[test]
fn what_is_no_picture_is_refused() {
    let png = encoded(&wide().into(), ImageFormat::Png);
    let jpeg = encoded(&wide().into(), ImageFormat::Jpeg);
    for file in [
        &b""[..],
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<!doctype html><script>alert(1)</script>",
        b"GIF89a",
        b"BM\0\0\0\0\0\0\0\0\0\0\0\0",
        &png[..png.len() / 2],
        &jpeg[..100],
    ] {
        assert_eq!(draw(file, MOST), Err(Unfit::Unreadable), "{:?}", &file[..file.len().min(9)]);
    }
}

#[test]
fn what_has_too_many_pixels_is_not_decoded() {
    let file = encoded(&wide().into(), ImageFormat::Png);
    assert_eq!(draw(&file, 900 * 300 - 1), Err(Unfit::TooLarge));
    assert!(draw(&file, 900 * 300).is_ok());
}

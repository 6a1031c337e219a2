//! Tests of `gui::rasteriser`.

use super::*;
use egui::epaint::ImageDelta;
use egui::{ColorImage, Pos2, Rect, TextureOptions, pos2};

fn rasteriser(image: ColorImage, options: TextureOptions) -> Rasteriser {
    let mut rasteriser = Rasteriser::default();
    let mut delta = TexturesDelta::default();
    delta.push(TextureId::default(), ImageDelta::full(image, options));
    rasteriser.update(&mut delta);
    rasteriser
}

fn draw(rasteriser: &Rasteriser, mesh: Mesh, clip: Rect, size: usize) -> Vec<u32> {
    let mut pixels = vec![0; size * size];
    let primitives = [ClippedPrimitive { clip_rect: clip, primitive: Primitive::Mesh(mesh) }];
    let mut canvas = Canvas { pixels: &mut pixels, width: size, height: size };
    rasteriser.draw(&mut canvas, Color32::BLACK, &primitives, 1.0);
    pixels
}

fn white() -> Rasteriser {
    rasteriser(ColorImage::filled([1, 1], Color32::WHITE), TextureOptions::NEAREST)
}

fn triangle(points: [(f32, f32); 3], colour: Color32) -> Mesh {
    let mut mesh = Mesh::default();
    for (x, y) in points {
        mesh.vertices.push(Vertex { pos: pos2(x, y), uv: Pos2::ZERO, color: colour });
    }
    mesh.add_triangle(0, 1, 2);
    mesh
}

#[test]
fn adjacent_shapes_share_no_pixel_and_leave_none_out() {
    let quarter = Color32::from_rgba_premultiplied(64, 64, 64, 64);
    // A fan of triangles around an odd centre covers the square once, wherever the centre lies.
    for step in 0..40 {
        let centre = (3.1 + step as f32 * 0.37, 17.9 - step as f32 * 0.31);
        let rim = [
            (0.0, 0.0),
            (9.3, 0.0),
            (20.0, 0.0),
            (20.0, 11.7),
            (20.0, 20.0),
            (4.9, 20.0),
            (0.0, 20.0),
        ];
        let mut mesh = Mesh::default();
        for k in 0..rim.len() {
            mesh.append(triangle([centre, rim[k], rim[(k + 1) % rim.len()]], quarter));
        }
        let pixels = draw(&white(), mesh, Rect::EVERYTHING, 20);
        assert!(
            pixels.iter().all(|pixel| *pixel == 0x0040_4040),
            "gap or overlap around {centre:?}"
        );
    }
}

#[test]
fn drawing_stays_inside_the_clip_and_the_canvas() {
    let everywhere = triangle([(-1e9, -1e9), (1e9, -1e9), (0.0, 1e9)], Color32::RED);
    let clip = Rect::from_min_max(pos2(2.0, 3.0), pos2(5.0, 4.0));
    let pixels = draw(&white(), everywhere.clone(), clip, 8);
    let red: Vec<usize> = (0..64).filter(|&index| pixels[index] == 0x00ff_0000).collect();
    assert_eq!(red, [26, 27, 28]);
    assert!(
        draw(&white(), everywhere, Rect::EVERYTHING, 8).iter().filter(|pixel| **pixel != 0).count()
            > 30
    );
    let nowhere = triangle([(f32::NAN, 0.0), (1.0, f32::INFINITY), (0.0, 1.0)], Color32::RED);
    draw(&white(), nowhere, Rect::EVERYTHING, 8);
    for far in [f32::NAN, f32::INFINITY, 1e30, -1e30] {
        let mut outside = triangle([(0.0, 0.0), (8.0, 0.0), (0.0, 8.0)], Color32::RED);
        outside.vertices[1].uv = pos2(far, far);
        draw(&white(), outside, Rect::EVERYTHING, 8);
    }
}

#[test]
fn colours_are_interpolated_and_blended_premultiplied() {
    let mut mesh = Mesh::default();
    mesh.add_colored_rect(Rect::from_min_max(pos2(0.0, 0.0), pos2(4.0, 4.0)), Color32::WHITE);
    mesh.vertices[0].color = Color32::BLACK;
    mesh.vertices[2].color = Color32::BLACK;
    let row: Vec<u32> =
        draw(&white(), mesh, Rect::EVERYTHING, 4)[..4].iter().map(|pixel| pixel & 0xff).collect();
    assert_eq!(row, [32, 96, 159, 223]);
    // Additive: colour without opacity.
    let glow = triangle(
        [(0.0, 0.0), (8.0, 0.0), (0.0, 8.0)],
        Color32::from_rgba_premultiplied(10, 0, 0, 0),
    );
    assert_eq!(draw(&white(), glow, Rect::EVERYTHING, 4)[0], 0x000a_0000);
}

#[test]
fn textures_are_sampled_patched_and_made_smaller() {
    let mut board = rasteriser(
        ColorImage::new([2, 2], vec![Color32::RED, Color32::GREEN, Color32::BLUE, Color32::WHITE]),
        TextureOptions::LINEAR,
    );
    let mut quad = Mesh::default();
    let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
    quad.add_rect_with_uv(
        Rect::from_min_max(pos2(0.0, 0.0), pos2(2.0, 2.0)),
        whole,
        Color32::WHITE,
    );
    assert_eq!(
        draw(&board, quad.clone(), Rect::EVERYTHING, 2),
        [0x00ff_0000, 0x0000_ff00, 0x0000_00ff, 0x00ff_ffff]
    );
    let mut delta = TexturesDelta::default();
    let patch = ColorImage::filled([1, 1], Color32::BLACK);
    delta.push(TextureId::default(), ImageDelta::partial([1, 1], patch, TextureOptions::LINEAR));
    board.update(&mut delta);
    assert_eq!(draw(&board, quad, Rect::EVERYTHING, 2)[3], 0);
    let fine = ColorImage::new(
        [8, 8],
        (0..64)
            .map(|k| if (k + k / 8) % 2 == 0 { Color32::BLACK } else { Color32::WHITE })
            .collect(),
    );
    let fine =
        rasteriser(fine, TextureOptions::LINEAR.with_mipmap_mode(Some(TextureFilter::Linear)));
    let mut small = Mesh::default();
    small.add_rect_with_uv(
        Rect::from_min_max(pos2(0.0, 0.0), pos2(2.0, 2.0)),
        whole,
        Color32::WHITE,
    );
    assert!(
        draw(&fine, small, Rect::EVERYTHING, 2)
            .iter()
            .all(|pixel| (0x7e..=0x82).contains(&(pixel & 0xff)))
    );
}

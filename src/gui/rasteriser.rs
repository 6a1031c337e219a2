//! Draws egui's triangles into memory, as a graphics card would: for machines without OpenGL, and
//! for the pictures in tests.
//!
//! In: clipped meshes, texture changes. Out: pixels. Vertices are snapped to 1/256 of a pixel and
//! edges follow the top-left rule, so that adjacent triangles neither overlap nor leave a gap.
//! Colours are blended as egui expects it, premultiplied and in sRGB without conversion. Against a
//! graphics card's picture single channels differ by about 1/255.

use std::collections::HashMap;

use egui::epaint::{ClippedPrimitive, ImageData, Primitive, Vertex};
use egui::{Color32, Mesh, TextureFilter, TextureId, TexturesDelta};

/// Steps of a vertex position within a pixel.
const SUBPIXELS: f32 = 256.0;
/// Vertices farther out than this, in pixels, would overflow the edge functions; no window is that
/// large.
const FARTHEST: f32 = 100_000.0;

/// The textures, which stay from frame to frame.
#[derive(Default)]
pub struct Rasteriser {
    textures: HashMap<TextureId, Texture>,
}

/// Pixels to draw into, row by row, as `0x00RRGGBB`.
pub struct Canvas<'a> {
    /// The pixels, `width * height` of them.
    pub pixels: &'a mut [u32],
    /// Pixels in a row.
    pub width: usize,
    /// The number of rows.
    pub height: usize,
}

#[derive(Default)]
struct Texture {
    pixels: Vec<Color32>,
    width: usize,
    height: usize,
    linear: bool,
    /// The texture in half its size, a quarter, …; only for textures that ask for it.
    smaller: Vec<Texture>,
}

/// A rectangle of pixels, right and bottom excluded.
#[derive(Clone, Copy)]
struct Clip {
    left: i64,
    top: i64,
    right: i64,
    bottom: i64,
}

impl Rasteriser {
    /// Takes in new and changed textures. Call it before drawing their frame.
    pub fn update(&mut self, delta: &mut TexturesDelta) {
        for (id, images) in delta.set.drain() {
            for image in images {
                let ImageData::Color(pixels) = &image.image;
                let texture = self.textures.entry(id).or_default();
                texture.linear = image.options.magnification == TextureFilter::Linear;
                match image.pos {
                    None => texture.replace(
                        pixels.pixels.clone(),
                        pixels.size,
                        image.options.mipmap_mode.is_some(),
                    ),
                    Some(position) => texture.patch(&pixels.pixels, pixels.size, position),
                }
            }
        }
    }

    /// Drops textures. Call it after drawing their frame.
    pub fn free(&mut self, delta: &mut TexturesDelta) {
        for id in delta.free.drain() {
            self.textures.remove(&id);
        }
    }

    /// Fills the canvas with a colour and draws a frame over it.
    pub fn draw(
        &self,
        canvas: &mut Canvas<'_>,
        background: Color32,
        primitives: &[ClippedPrimitive],
        pixels_per_point: f32,
    ) {
        canvas.pixels.fill(pack(background));
        for ClippedPrimitive { clip_rect, primitive } in primitives {
            // A callback is code for a graphics card; this window has none.
            let Primitive::Mesh(mesh) = primitive else { continue };
            let Some(texture) = self.textures.get(&mesh.texture_id) else { continue };
            let clip = Clip {
                left: ((clip_rect.min.x * pixels_per_point).round() as i64).max(0),
                top: ((clip_rect.min.y * pixels_per_point).round() as i64).max(0),
                right: ((clip_rect.max.x * pixels_per_point).round() as i64)
                    .min(canvas.width as i64),
                bottom: ((clip_rect.max.y * pixels_per_point).round() as i64)
                    .min(canvas.height as i64),
            };
            if clip.left < clip.right && clip.top < clip.bottom {
                draw_mesh(canvas, clip, texture, mesh, pixels_per_point);
            }
        }
    }
}

impl Texture {
    fn replace(&mut self, pixels: Vec<Color32>, [width, height]: [usize; 2], mipmaps: bool) {
        (self.pixels, self.width, self.height) = (pixels, width, height);
        self.smaller.clear();
        while mipmaps && self.smallest().width > 1 && self.smallest().height > 1 {
            let half = self.smallest().half();
            self.smaller.push(half);
        }
    }

    fn patch(&mut self, pixels: &[Color32], [width, height]: [usize; 2], [left, top]: [usize; 2]) {
        if left + width <= self.width && top + height <= self.height {
            for row in 0..height {
                let start = (top + row) * self.width + left;
                self.pixels[start..start + width]
                    .copy_from_slice(&pixels[row * width..(row + 1) * width]);
            }
        }
    }

    fn smallest(&self) -> &Self {
        self.smaller.last().unwrap_or(self)
    }

    fn half(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let mean = |x: usize, y: usize| {
            let four = [(0, 0), (1, 0), (0, 1), (1, 1)]
                .map(|(dx, dy)| self.pixels[(2 * y + dy) * self.width + 2 * x + dx]);
            let channel = |k: usize| {
                (four.iter().map(|pixel| u32::from(pixel[k])).sum::<u32>().div_ceil(4)).min(255)
                    as u8
            };
            Color32::from_rgba_premultiplied(channel(0), channel(1), channel(2), channel(3))
        };
        let pixels = (0..width * height).map(|index| mean(index % width, index / width)).collect();
        Self { pixels, width, height, linear: self.linear, smaller: Vec::new() }
    }

    /// The size of this texture whose texels are closest to the size of the drawn pixels.
    fn level(&self, texels_per_pixel: f32) -> &Self {
        let steps = texels_per_pixel.max(1.0).log2().round() as usize;
        match steps.min(self.smaller.len()) {
            0 => self,
            step => &self.smaller[step - 1],
        }
    }

    /// The colour at a position from 0 to 1, each channel 0 to 255.
    fn sample(&self, u: f32, v: f32) -> [f32; 4] {
        // Casts are used for rounding, since without SSE 4.1 `round` and `floor` are calls. They
        // round towards zero, and outside the texture it does not matter where exactly the edge's
        // texel is taken.
        let within =
            |position: f32, size: usize| (position * size as f32 - 0.5).clamp(0.0, size as f32);
        let (x, y) = (within(u, self.width), within(v, self.height));
        let texel = |x: usize, y: usize| {
            self.pixels[y.min(self.height - 1) * self.width + x.min(self.width - 1)]
                .to_array()
                .map(f32::from)
        };
        if !self.linear {
            return texel((x + 0.5) as usize, (y + 0.5) as usize);
        }
        let (left, top) = (x as usize, y as usize);
        let (fx, fy) = (x - left as f32, y - top as f32);
        let corners = [
            texel(left, top),
            texel(left + 1, top),
            texel(left, top + 1),
            texel(left + 1, top + 1),
        ];
        let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
        std::array::from_fn(|channel| (0..4).map(|k| corners[k][channel] * weights[k]).sum())
    }

    /// The texels from a position on, if one step of `across` leads from the middle of one texel to
    /// the middle of the next.
    fn exact(&self, u: f32, v: f32, across: [f32; 2], count: usize) -> Option<&[Color32]> {
        let (x, y) = (u * self.width as f32, v * self.height as f32);
        let (column, row) = (x as usize, y as usize);
        let about = |value: f32, whole: f32| (value - whole).abs() < 1.0 / 128.0;
        let step = about(across[0] * self.width as f32 * count as f32, count as f32)
            && across[1].abs() < f32::EPSILON;
        let middle = about(x, column as f32 + 0.5) && about(y, row as f32 + 0.5);
        let inside = column.saturating_add(count) <= self.width && row < self.height;
        (step && middle && inside).then(|| &self.pixels[row * self.width + column..][..count])
    }
}

fn draw_mesh(
    canvas: &mut Canvas<'_>,
    clip: Clip,
    texture: &Texture,
    mesh: &Mesh,
    pixels_per_point: f32,
) {
    if texture.pixels.is_empty() {
        return;
    }
    for [a, b, c] in mesh.triangles() {
        let corner = |index: u32| {
            mesh.vertices.get(index as usize).map(|vertex| Corner::new(vertex, pixels_per_point))
        };
        if let (Some(a), Some(b), Some(c)) = (corner(a), corner(b), corner(c)) {
            draw_triangle(canvas, clip, texture, [a, b, c]);
        }
    }
}

/// A vertex in subpixels, with the values to interpolate.
#[derive(Clone, Copy)]
struct Corner {
    x: i64,
    y: i64,
    /// u, v, red, green, blue, alpha.
    values: [f32; 6],
}

impl Corner {
    fn new(vertex: &Vertex, pixels_per_point: f32) -> Self {
        let snap = |points: f32| {
            ((points * pixels_per_point).clamp(-FARTHEST, FARTHEST) * SUBPIXELS).round() as i64
        };
        let [r, g, b, a] = vertex.color.to_array().map(f32::from);
        Self {
            x: snap(vertex.pos.x),
            y: snap(vertex.pos.y),
            values: [vertex.uv.x, vertex.uv.y, r, g, b, a],
        }
    }
}

/// Twice the signed area of a triangle.
fn area(a: Corner, b: Corner, c: Corner) -> i64 {
    (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)
}

fn draw_triangle(canvas: &mut Canvas<'_>, clip: Clip, texture: &Texture, corners: [Corner; 3]) {
    let [a, mut b, mut c] = corners;
    let mut doubled = area(a, b, c);
    if doubled == 0 {
        return;
    }
    if doubled < 0 {
        (b, c, doubled) = (c, b, -doubled);
    }
    let edges = [Edge::new(a, b), Edge::new(b, c), Edge::new(c, a)];
    let rows = [a.y, b.y, c.y];
    let top = rows.iter().min().map_or(0, |y| y.div_euclid(256)).max(clip.top);
    let bottom = rows.iter().max().map_or(0, |y| y.div_euclid(256) + 1).min(clip.bottom);
    let fill = Fill::new(texture, [a, b, c], doubled);
    for y in top..bottom {
        let centre = y * 256 + 128;
        let (mut left, mut right) = (clip.left, clip.right);
        for edge in &edges {
            edge.narrow(centre, &mut left, &mut right);
        }
        if left < right {
            let row = y as usize * canvas.width;
            fill.row(&mut canvas.pixels[row + left as usize..row + right as usize], left, y);
        }
    }
}

/// One side of a triangle: `x * dx + y * dy + constant` is not negative inside, in subpixels.
struct Edge {
    dx: i64,
    dy: i64,
    constant: i64,
}

impl Edge {
    fn new(from: Corner, to: Corner) -> Self {
        let (dx, dy) = (from.y - to.y, to.x - from.x);
        // Pixels on a left or top edge belong to this triangle, those on another edge to the
        // adjacent one.
        let belongs = dx > 0 || (dx == 0 && dy > 0);
        Self { dx, dy, constant: -(from.x * dx + from.y * dy) - i64::from(!belongs) }
    }

    /// Narrows a range of pixels in the row whose centres lie at `y` to those inside this edge.
    fn narrow(&self, y: i64, left: &mut i64, right: &mut i64) {
        // The pixel `p` has its centre at 256 p + 128.
        let (slope, rest) = (self.dx * 256, self.dx * 128 + self.dy * y + self.constant);
        match slope {
            0 if rest < 0 => *right = *left,
            0 => {}
            // p >= -rest / slope, rounded up
            1.. => *left = (*left).max((-rest + slope - 1).div_euclid(slope)),
            // p <= rest / -slope, rounded down
            _ => *right = (*right).min(rest.div_euclid(-slope) + 1),
        }
    }
}

/// How the inside of a triangle is coloured.
struct Fill<'a> {
    texture: &'a Texture,
    /// Values at the centre of pixel (0, 0), and their change from pixel to pixel and from row to
    /// row.
    origin: [f32; 6],
    across: [f32; 6],
    down: [f32; 6],
    /// The colour of every pixel, if all are equal.
    solid: Option<[f32; 4]>,
    /// Whether only the texture differs from pixel to pixel.
    one_colour: bool,
}

impl<'a> Fill<'a> {
    fn new(texture: &'a Texture, [a, b, c]: [Corner; 3], doubled: i64) -> Self {
        let scale = SUBPIXELS / doubled as f32;
        let gradient = |along: i64, against: i64, k: usize| {
            ((b.values[k] - a.values[k]) * along as f32
                - (c.values[k] - a.values[k]) * against as f32)
                * scale
        };
        let across: [f32; 6] = std::array::from_fn(|k| gradient(c.y - a.y, b.y - a.y, k));
        let down: [f32; 6] = std::array::from_fn(|k| -gradient(c.x - a.x, b.x - a.x, k));
        let (x, y) = ((128 - a.x) as f32 / SUBPIXELS, (128 - a.y) as f32 / SUBPIXELS);
        let origin = std::array::from_fn(|k| a.values[k] + across[k] * x + down[k] * y);
        let texels = (across[0].hypot(down[0]) * texture.width as f32)
            .max(across[1].hypot(down[1]) * texture.height as f32);
        let texture = texture.level(texels);
        let flat = a.values == b.values && b.values == c.values;
        let solid = flat.then(|| tint(texture.sample(a.values[0], a.values[1]), &a.values));
        let one_colour = a.values[2..] == b.values[2..] && b.values[2..] == c.values[2..];
        Self { texture, origin, across, down, solid, one_colour }
    }

    fn row(&self, pixels: &mut [u32], left: i64, y: i64) {
        if let Some(colour) = self.solid {
            if colour[3] >= 254.5 {
                return pixels.fill(join(colour));
            }
            return pixels.iter_mut().for_each(|pixel| *pixel = blend(colour, *pixel));
        }
        let mut values: [f32; 6] = std::array::from_fn(|k| {
            self.origin[k] + self.across[k] * left as f32 + self.down[k] * y as f32
        });
        // Glyphs lie exactly on pixels, and most of the picture is text.
        if self.one_colour
            && let Some(texels) = self.texture.exact(
                values[0],
                values[1],
                [self.across[0], self.across[1]],
                pixels.len(),
            )
        {
            for (pixel, texel) in
                pixels.iter_mut().zip(texels).filter(|(_, texel)| **texel != Color32::TRANSPARENT)
            {
                *pixel = blend(tint(texel.to_array().map(f32::from), &values), *pixel);
            }
            return;
        }
        for pixel in pixels {
            let colour = tint(self.texture.sample(values[0], values[1]), &values);
            *pixel = blend(colour, *pixel);
            for (value, step) in values.iter_mut().zip(self.across) {
                *value += step;
            }
        }
    }
}

/// A texel multiplied by the vertices' colour. On slivers interpolation may leave the range of
/// colours.
fn tint(texel: [f32; 4], values: &[f32; 6]) -> [f32; 4] {
    std::array::from_fn(|k| texel[k] * values[k + 2].clamp(0.0, 255.0) / 255.0)
}

fn blend(source: [f32; 4], under: u32) -> u32 {
    let rest = 1.0 - source[3] / 255.0;
    let [_, r, g, b] = under.to_be_bytes().map(f32::from);
    join([source[0] + r * rest, source[1] + g * rest, source[2] + b * rest, 255.0])
}

fn join([r, g, b, _]: [f32; 4]) -> u32 {
    u32::from_be_bytes([0, (r + 0.5) as u8, (g + 0.5) as u8, (b + 0.5) as u8])
}

fn pack(colour: Color32) -> u32 {
    u32::from_be_bytes([0, colour.r(), colour.g(), colour.b()])
}

#[cfg(test)]
mod tests;

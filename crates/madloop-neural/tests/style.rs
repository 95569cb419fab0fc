//! Kernels of style-based networks against their definitions in f64, at every level and on one thread and four.

mod common;
use common::{close, everywhere, numbers, wide};
use madloop_neural::kernels::blur::{down, fold, unfold, up};
use madloop_neural::kernels::style::{Noise, activate, activate_gradient, modulate, modulate_gradient};

const SLOPE: f32 = 0.2;

#[test]
fn factors_noise_bias_and_rectifier() {
    for (n, pixels, c) in [(1, 1, 1), (3, 35, 7), (2, 300, 48), (5, 1030, 17)] {
        let images = |seed| numbers(n * pixels * c, seed);
        let (x, dy, noise, bias) = (images(1), images(2), numbers(n * pixels, 3), numbers(c, 4));
        let scale: Vec<f32> = numbers(n * c, 5).iter().map(|v| 1.5 + v).collect();
        let strength = 0.7;
        let at = |i: usize| (i / (pixels * c), i / c, i % c); // image, pixel of all, channel
        let of = |i: usize| f64::from(scale[at(i).0 * c + at(i).2]);
        let z = |i: usize| {
            let (_, pixel, channel) = at(i);
            f64::from(x[i]) * of(i) + f64::from(strength * noise[pixel]) + f64::from(bias[channel])
        };
        let slope = |i: usize| 2.0_f64.sqrt() * if z(i) > 0.0 { 1.0 } else { f64::from(SLOPE) };
        let (mut dx, mut dscale, mut dbias, mut dstrength) = (vec![], vec![0.0; n * c], vec![0.0; c], 0.0);
        let (mut modulated, mut dfactor) = (vec![], vec![0.0; n * c]);
        for i in 0..x.len() {
            let ((image, pixel, channel), dz) = (at(i), f64::from(dy[i]) * slope(i));
            dx.push(dz * of(i));
            dscale[image * c + channel] += dz * f64::from(x[i]);
            dbias[channel] += dz;
            dstrength += dz * f64::from(noise[pixel]);
            modulated.push(f64::from(x[i]) * of(i));
            dfactor[image * c + channel] += f64::from(dy[i]) * f64::from(x[i]);
        }
        let y: Vec<f64> = (0..x.len()).map(|i| z(i) * slope(i)).collect();
        let noise = Noise { values: &noise, strength };
        let all = everywhere(|| {
            let mut y = x.clone();
            activate(SLOPE, &scale, noise, &bias, &mut y);
            let (mut dx, mut dscale, mut dbias) = (dy.clone(), vec![f32::NAN; n * c], vec![f32::NAN; c]);
            let of_strength = activate_gradient(SLOPE, &y, &scale, noise, &bias, &mut dx, &mut dscale, &mut dbias);
            let (mut scaled, mut back, mut dfactor) = (x.clone(), dy.clone(), vec![f32::NAN; n * c]);
            modulate(c, &x, &scale, &mut scaled);
            modulate_gradient(c, &x, &scale, &dy, Some(&mut back), &mut dfactor);
            let mut alone = vec![f32::NAN; n * c];
            modulate_gradient(c, &x, &scale, &dy, None, &mut alone);
            assert_eq!(alone, dfactor);
            [y, dx, dscale, dbias, vec![of_strength], scaled, back, dfactor]
        });
        let back: Vec<f64> = (0..x.len()).map(|i| f64::from(dy[i]) * of(i)).collect();
        let want = [y, dx, dscale, dbias, vec![dstrength], modulated, back, dfactor];
        for (level, got) in all {
            for (which, (got, want)) in got.iter().zip(&want).enumerate() {
                close(got, want, 2e-5, &format!("{which} at {level:?}, {n} x {pixels} x {c}"));
            }
        }
    }
}

#[test]
fn filtered_sizes() {
    const F: [f64; 4] = [1.0, 3.0, 3.0, 1.0];
    for (n, h, w, c) in [(1, 1, 1, 1), (2, 3, 5, 7), (3, 8, 4, 33)] {
        let (small, large) = (numbers(n * h * w * c, 1), numbers(4 * n * h * w * c, 2));
        let (mut halved, mut doubled) = (vec![0.0; small.len()], vec![0.0; large.len()]);
        // Pixel i sees 2 i + u with weight f_(u + 1); doubling is the transpose, four times as strong.
        for image in 0..n {
            for (i, j) in (0..h).flat_map(|i| (0..w).map(move |j| (i, j))) {
                for (u, v) in (0..4).flat_map(|u| (0..4).map(move |v| (u, v))) {
                    let (row, column) = ((2 * i + u).wrapping_sub(1), (2 * j + v).wrapping_sub(1));
                    if row >= 2 * h || column >= 2 * w {
                        continue;
                    }
                    for channel in 0..c {
                        let at = ((image * h + i) * w + j) * c + channel;
                        let far = ((image * 2 * h + row) * 2 * w + column) * c + channel;
                        halved[at] += F[u] * F[v] / 64.0 * f64::from(large[far]);
                        doubled[far] += F[u] * F[v] / 16.0 * f64::from(small[at]);
                    }
                }
            }
        }
        let size = [h, w, c];
        for (level, [half, double, folded, back]) in everywhere(|| {
            let of = |length: usize| vec![f32::NAN; length];
            let (mut half, mut double) = (of(small.len()), of(large.len()));
            down(size, 1.0, &large, &mut half);
            up(size, 1.0, &small, &mut double);
            let (mut folded, mut back) = (of(large.len()), of(large.len()));
            fold(size, &large, &mut folded);
            unfold(size, &folded, &mut back);
            [half, double, folded, back]
        }) {
            close(&half, &halved, 1e-6, &format!("half at {level:?}"));
            close(&double, &doubled, 1e-6, &format!("double at {level:?}"));
            assert_eq!(back, large);
            let place = |i: usize, j: usize, a: usize, b: usize| ((2 * i + a) * 2 * w + 2 * j + b) * c;
            let squares = (0..h).flat_map(|i| (0..w).map(move |j| (i, j)));
            let first = squares.flat_map(|(i, j)| [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(a, b)| place(i, j, a, b)));
            let want: Vec<f64> = first.flat_map(|at| wide(&large[at..at + c])).collect();
            close(&folded[..want.len()], &want, 0.0, "folded");
        }
    }
}

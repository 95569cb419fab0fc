//! A residual network of linear maps, for vectors and very small images.

use burn::tensor::Tensor;

use crate::nets::Condition;
use crate::nets::embed::Embedding;
use crate::nets::layers::Linear;
use crate::ops;
use crate::params::{Declare, Init, Weights};

/// x -> h; then `depth` times h += B silu(A silu(h) + E e), e the embedding of noise level and class; then h -> output.
pub(crate) struct Mlp {
    embedding: Embedding,
    input: Linear,
    blocks: Vec<Block>,
    output: Linear,
}

struct Block {
    shift: Linear,
    first: Linear,
    second: Linear,
}

impl Mlp {
    pub(crate) fn new(mut declare: Declare<'_>, dim: usize, width: usize, depth: usize, n_classes: usize) -> Self {
        let embedding = Embedding::new(declare.at("embedding"), width, n_classes);
        let input = Linear::new(declare.at("input"), dim, width, Init::xavier(dim, width));
        let block = |at: usize, declare: &mut Declare<'_>| {
            let mut declare = declare.at(format_args!("block.{at}"));
            Block {
                shift: Linear::new(declare.at("shift"), width, width, Init::xavier(width, width)),
                first: Linear::new(declare.at("first"), width, width, Init::kaiming(width)),
                // Blocks begin as the identity.
                second: Linear::new(declare.at("second"), width, width, Init::Zeros),
            }
        };
        let blocks = (0..depth).map(|at| block(at, &mut declare)).collect();
        let output = Linear::new(declare.at("output"), width, dim, Init::Zeros);
        Self { embedding, input, blocks, output }
    }

    pub(crate) fn forward(&self, weights: &Weights, x: Tensor<2>, condition: &Condition<'_>) -> Tensor<2> {
        let embedding = self.embedding.forward(weights, condition, &x.device());
        let mut h = self.input.forward(weights, x);
        for block in &self.blocks {
            let inner = block.first.forward(weights, ops::silu(h.clone()));
            let inner = inner + block.shift.forward(weights, embedding.clone());
            h = h + block.second.forward(weights, ops::silu(inner));
        }
        self.output.forward(weights, ops::silu(h))
    }

    pub(crate) fn flops(&self) -> f64 {
        let of_block = |block: &Block| block.shift.flops + block.first.flops + block.second.flops;
        let blocks: f64 = self.blocks.iter().map(of_block).sum();
        self.embedding.flops() + self.input.flops + blocks + self.output.flops
    }

    pub(crate) fn kept(&self) -> f64 {
        // A map of w to w takes 2 w^2 operations; a block keeps its input, its middle and both after SiLU.
        self.blocks.iter().map(|block| 4.0 * (block.first.flops / 2.0).sqrt()).sum()
    }
}

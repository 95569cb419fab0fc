//! Tests of the style-based family: its networks and regularisers against PyTorch, its training against itself.

mod golden;

//! Optimal transport between two uniform discrete distributions, exact: the network simplex.

use crate::exp::vectorised;

/// An optimal coupling of n sources and m sinks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Coupling {
    /// (source, sink, mass): mass in units of 1 / `total`, more than 0; at most n + m - 1 of them.
    pub(crate) flows: Vec<(usize, usize, u64)>,
    /// The sum of the masses, lcm(n, m).
    pub(crate) total: u64,
    /// Dual values of the sources and sinks: u_i + v_j <= cost_ij, with equality where mass flows, up to rounding.
    #[cfg_attr(not(test), allow(dead_code, reason = "the certificate that tests check"))]
    pub(crate) duals: (Vec<f64>, Vec<f64>),
}

/// The coupling of least mean cost of n sources of mass 1 / n and m sinks of mass 1 / m, for `costs` (`[n, m]`,
/// row-major, finite), to 1e-13 of the largest cost.
///
/// The primal simplex on the spanning trees of the bipartite graph, kept strongly feasible, so that it ends (Cunningham
/// 1976, "A network simplex method", Mathematical Programming 11; Ahuja, Magnanti & Orlin 1993, "Network flows", chapter 11). It starts from the
/// staircase that couples the sources in order `rows` with the sinks in order `columns`, each a permutation. Masses are whole
/// numbers; costs are only compared and added. One thread.
pub(crate) fn coupling(costs: &[f64], rows: &[usize], columns: &[usize]) -> Coupling {
    let (n, m) = (rows.len(), columns.len());
    let mut tree = Tree::staircase(costs, rows, columns);
    let scale = costs.iter().fold(0.0_f64, |scale, cost| scale.max(cost.abs()));
    let tolerance = 1e-13 * scale;
    loop {
        // Pivots leave rounding in the duals: those of the last pass are fresh.
        tree.refresh();
        let (mut row, mut quiet, mut pivots) = (0, 0, 0_u64);
        while quiet < n {
            match tree.cheapest(row, -tolerance) {
                Some(sink) => {
                    tree.pivot(row, sink);
                    pivots += 1;
                    quiet = 0;
                }
                None => quiet += 1,
            }
            row = if row + 1 == n { 0 } else { row + 1 };
        }
        if pivots == 0 {
            break;
        }
    }
    let mut flows: Vec<_> = (0..n + m)
        .filter(|&node| tree.parent[node] != NONE && tree.flow[node] > 0)
        .map(|node| {
            let (source, sink) = tree.arc(node);
            (source, sink, tree.flow[node])
        })
        .collect();
    flows.sort_unstable();
    let sinks = tree.dual.split_off(n);
    Coupling { flows, total: (n / gcd(n, m) * m) as u64, duals: (tree.dual, sinks) }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// No node.
const NONE: usize = usize::MAX;

/// A spanning tree of sources 0..n and sinks n..n + m.
///
/// It is strongly feasible: arcs of the tree without flow lead from a source up to its parent.
struct Tree<'a> {
    costs: &'a [f64],
    n: usize,
    m: usize,
    parent: Vec<usize>,
    /// Mass between a node and its parent.
    flow: Vec<u64>,
    depth: Vec<u32>,
    child: Vec<usize>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// u_i, then v_j: their sum is the cost on arcs of the tree.
    dual: Vec<f64>,
    stack: Vec<usize>,
}

impl<'a> Tree<'a> {
    fn staircase(costs: &'a [f64], rows: &[usize], columns: &[usize]) -> Self {
        let (n, m) = (rows.len(), columns.len());
        let nodes = n + m;
        let mut tree = Self {
            costs,
            n,
            m,
            parent: vec![NONE; nodes],
            flow: vec![0; nodes],
            depth: vec![0; nodes],
            child: vec![NONE; nodes],
            next: vec![NONE; nodes],
            previous: vec![NONE; nodes],
            dual: vec![0.0; nodes],
            stack: Vec::new(),
        };
        let divisor = gcd(n, m);
        let (mut supply, mut demand) = ((m / divisor) as u64, (n / divisor) as u64);
        let (mut i, mut j) = (0, 0);
        tree.adopt(rows[0], n + columns[0]);
        let mut last = n + columns[0];
        loop {
            let mass = supply.min(demand);
            tree.flow[last] += mass;
            (supply, demand) = (supply - mass, demand - mass);
            // When both are used up the next source hangs below the sink without flow: that arc leads up.
            if demand > 0 || (supply == 0 && i + 1 < n) {
                i += 1;
                supply = (m / divisor) as u64;
                last = rows[i];
                tree.adopt(n + columns[j], last);
            } else if j + 1 < m {
                j += 1;
                demand = (n / divisor) as u64;
                last = n + columns[j];
                tree.adopt(rows[i], last);
            } else {
                return tree;
            }
        }
    }

    /// Makes `node` a child of `parent`.
    fn adopt(&mut self, parent: usize, node: usize) {
        self.parent[node] = parent;
        self.previous[node] = NONE;
        self.next[node] = self.child[parent];
        if self.next[node] != NONE {
            self.previous[self.next[node]] = node;
        }
        self.child[parent] = node;
    }

    /// Takes `node` from its parent.
    fn part(&mut self, node: usize) {
        let (previous, next) = (self.previous[node], self.next[node]);
        if previous == NONE {
            self.child[self.parent[node]] = next;
        } else {
            self.next[previous] = next;
        }
        if next != NONE {
            self.previous[next] = previous;
        }
    }

    /// Source and sink of the arc between `node` and its parent.
    fn arc(&self, node: usize) -> (usize, usize) {
        let (source, sink) = if node < self.n { (node, self.parent[node]) } else { (self.parent[node], node) };
        (source, sink - self.n)
    }

    /// The sink of the least reduced cost from `source`, if that is below `limit`.
    fn cheapest(&self, source: usize, limit: f64) -> Option<usize> {
        let row = &self.costs[source * self.m..][..self.m];
        let v = &self.dual[self.n..];
        let least = vectorised(
            #[inline(always)]
            || {
                let mut lanes = [f64::INFINITY; 16];
                let (costs, duals) = (row.chunks_exact(16), v.chunks_exact(16));
                let mut least = f64::INFINITY;
                for (cost, dual) in costs.remainder().iter().zip(duals.remainder()) {
                    least = least.min(cost - dual);
                }
                for (cost, dual) in costs.zip(duals) {
                    for (lane, (cost, dual)) in lanes.iter_mut().zip(cost.iter().zip(dual)) {
                        let reduced = cost - dual;
                        *lane = if reduced < *lane { reduced } else { *lane };
                    }
                }
                lanes.into_iter().fold(least, f64::min)
            },
        );
        if least - self.dual[source] < limit {
            row.iter().zip(v).position(|(cost, dual)| cost - dual == least)
        } else {
            None
        }
    }

    /// Lets the arc from `source` to `sink` into the tree and an arc that it empties out.
    fn pivot(&mut self, source: usize, sink: usize) {
        let reduced = self.costs[source * self.m + sink] - self.dual[source] - self.dual[self.n + sink];
        let sink = self.n + sink;
        // The cycle runs along the new arc, from the sink up to the apex and down to the source: mass falls on arcs
        // above sinks on the one side and above sources on the other. Of the arcs it empties first, the last one
        // on the way from the apex leaves; so the tree stays strongly feasible.
        let (mut a, mut b) = (source, sink);
        let (mut least, mut out, mut from_sink) = (u64::MAX, NONE, false);
        let (mut least_up, mut out_up) = (u64::MAX, NONE);
        while a != b {
            if self.depth[a] >= self.depth[b] {
                if a < self.n && self.flow[a] < least {
                    (least, out) = (self.flow[a], a);
                }
                a = self.parent[a];
            } else {
                if b >= self.n && self.flow[b] <= least_up {
                    (least_up, out_up) = (self.flow[b], b);
                }
                b = self.parent[b];
            }
        }
        if least_up <= least {
            (least, out, from_sink) = (least_up, out_up, true);
        }
        let apex = a;
        for (start, falls_at_sinks) in [(source, false), (sink, true)] {
            let mut node = start;
            while node != apex {
                if (node >= self.n) == falls_at_sinks {
                    self.flow[node] -= least;
                } else {
                    self.flow[node] += least;
                }
                node = self.parent[node];
            }
        }
        let (root, above) = if from_sink { (sink, source) } else { (source, sink) };
        self.rehang(root, above, out, least);
        // The dual of the new arc's end below it changes by the reduced cost, and so does the rest of the subtree.
        let (of_sources, of_sinks) = if from_sink { (-reduced, reduced) } else { (reduced, -reduced) };
        self.stack.push(root);
        while let Some(node) = self.stack.pop() {
            self.depth[node] = self.depth[self.parent[node]] + 1;
            self.dual[node] += if node < self.n { of_sources } else { of_sinks };
            let mut child = self.child[node];
            while child != NONE {
                self.stack.push(child);
                child = self.next[child];
            }
        }
    }

    /// Cuts `out` from its parent and hangs what was below it under `above` by its node `root`.
    fn rehang(&mut self, root: usize, above: usize, out: usize, mass: u64) {
        let (mut node, mut above, mut mass) = (root, above, mass);
        loop {
            let (parent, flow) = (self.parent[node], self.flow[node]);
            self.part(node);
            self.adopt(above, node);
            self.flow[node] = mass;
            if node == out {
                return;
            }
            (above, node, mass) = (node, parent, flow);
        }
    }

    /// Depths and duals from the root on.
    fn refresh(&mut self) {
        let Some(root) = self.parent.iter().position(|&parent| parent == NONE) else { return };
        (self.depth[root], self.dual[root]) = (0, 0.0);
        self.stack.push(root);
        while let Some(node) = self.stack.pop() {
            if node != root {
                let (source, sink) = self.arc(node);
                self.depth[node] = self.depth[self.parent[node]] + 1;
                self.dual[node] = self.costs[source * self.m + sink] - self.dual[self.parent[node]];
            }
            let mut child = self.child[node];
            while child != NONE {
                self.stack.push(child);
                child = self.next[child];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn couple(costs: &[f64], n: usize, m: usize) -> Coupling {
        coupling(costs, &(0..n).collect::<Vec<_>>(), &(0..m).rev().collect::<Vec<_>>())
    }

    fn mean_cost(coupling: &Coupling, costs: &[f64], m: usize) -> f64 {
        coupling.flows.iter().map(|&(i, j, mass)| mass as f64 * costs[i * m + j]).sum::<f64>() / coupling.total as f64
    }

    /// That the coupling has the right marginals and the duals prove it optimal.
    fn certify(costs: &[f64], n: usize, m: usize) -> f64 {
        let coupling = couple(costs, n, m);
        let (mut out, mut into) = (vec![0; n], vec![0; m]);
        for &(i, j, mass) in &coupling.flows {
            assert!(mass > 0 && coupling.flows.len() < n + m);
            out[i] += mass;
            into[j] += mass;
        }
        assert!(out.iter().all(|&mass| mass == coupling.total / n as u64));
        assert!(into.iter().all(|&mass| mass == coupling.total / m as u64));
        let scale = costs.iter().fold(1.0_f64, |scale, cost| scale.max(cost.abs()));
        let (u, v) = &coupling.duals;
        for i in 0..n {
            for j in 0..m {
                assert!(u[i] + v[j] <= costs[i * m + j] + 1e-12 * scale);
            }
        }
        let primal = mean_cost(&coupling, costs, m);
        let dual = u.iter().sum::<f64>() / n as f64 + v.iter().sum::<f64>() / m as f64;
        assert!((primal - dual).abs() < 1e-12 * scale, "{primal} {dual}");
        primal
    }

    fn permutations(costs: &[f64], n: usize, row: usize, used: u32) -> f64 {
        if row == n {
            return 0.0;
        }
        let free = (0..n).filter(|j| used & (1 << j) == 0);
        free.map(|j| costs[row * n + j] + permutations(costs, n, row + 1, used | 1 << j)).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn a_half_goes_each_way() {
        // One source, three sinks; then 2 to 3 with the middle sink shared.
        assert_eq!(mean_cost(&couple(&[1.0, 2.0, 6.0], 1, 3), &[1.0, 2.0, 6.0], 3), 3.0);
        let costs = [0.0, 1.0, 9.0, 9.0, 1.0, 0.0];
        let coupling = couple(&costs, 2, 3);
        assert_eq!((coupling.flows, coupling.total), (vec![(0, 0, 2), (0, 1, 1), (1, 1, 1), (1, 2, 2)], 6));
    }

    proptest! {
        #[test]
        fn no_permutation_is_cheaper(n in 1..=7_usize, costs in prop::collection::vec(-20..20_i8, 49)) {
            let costs: Vec<f64> = costs[..n * n].iter().map(|&cost| f64::from(cost)).collect();
            let least = permutations(&costs, n, 0, 0) / n as f64;
            prop_assert!((certify(&costs, n, n) - least).abs() < 1e-12);
        }

        #[test]
        fn duals_certify_every_coupling(n in 1..30_usize, m in 1..30_usize, costs in prop::collection::vec(0.0..1.0, 900)) {
            certify(&costs[..n * m], n, m);
            let rounded: Vec<f64> = costs[..n * m].iter().map(|cost| (cost * 4.0).floor()).collect();
            certify(&rounded, n, m);
        }
    }
}

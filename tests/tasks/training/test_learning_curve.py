from tasks.training.learning_curve import Share, advice, learning_curve
from tasks.training.session import prepare


def test_a_learning_curve_has_nested_shares_validated_alike_and_an_advice(job):
    curve = list(learning_curve(prepare(job()), 10))
    assert [(point.share, point.sources) for point in curve] == [(0.25, 3), (0.5, 6), (1.0, 11)]
    assert all(point.validation_total > 0 for point in curve)


def test_the_advice_follows_the_curve():
    def curve(half, whole, training):
        return [Share(0.25, 3, 1.0, 1.0), Share(0.5, 6, 1.0, half), Share(1.0, 11, training, whole)]

    assert "more sources would help" in advice(curve(0.5, 0.3, 0.2))
    assert "more like these hardly" in advice(curve(0.5, 0.5, 0.2))
    assert "longer training" in advice(curve(0.5, 0.5, 0.5))

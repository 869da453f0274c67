"""The words of Gramophone as types: reasons, parameters, pairs, runs and the schemas of what is stored."""

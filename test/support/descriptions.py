"""Small robots as URDF."""


def link(name, shape=''):
    return f'<link name="{name}">{shape}</link>'


def joint(name, parent, child, x=0.0, kind='revolute'):
    limit = '<limit lower="-3.1" upper="3.1" effort="1" velocity="1"/>' if kind == 'revolute' else ''
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{x} 0 0"/><axis xyz="0 0 1"/>{limit}</joint>'
    )


def bar(length):
    return (
        f'<collision><origin xyz="{length / 2} 0 0" rpy="0 1.5707963 0"/>'
        f'<geometry><cylinder radius="0.02" length="{length}"/></geometry></collision>'
    )


# Two links of 0.5 and 0.3 m in a plane, and a hand at the end; the base stands 0.1 m beside the table.
TWO_LINKS = (
    '<robot name="two">'
    + link('table')
    + link('base')
    + link('upper', bar(0.5))
    + link('lower', bar(0.3))
    + link('tool')
    + joint('mount', 'table', 'base', 0.1, 'fixed')
    + joint('a', 'base', 'upper')
    + joint('b', 'upper', 'lower', 0.5)
    + joint('flange', 'lower', 'tool', 0.3, 'fixed')
    + '</robot>'
)
# Three bars of the same length: folded twice, the third lies on the first.
THREE_LINKS = (
    '<robot name="three">'
    + link('base')
    + ''.join(link(name, bar(0.3)) for name in ('one', 'two', 'three'))
    + joint('a', 'base', 'one')
    + joint('b', 'one', 'two', 0.3)
    + joint('c', 'two', 'three', 0.3)
    + '</robot>'
)
